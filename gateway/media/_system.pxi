# The system calls and C library functions that the receiver uses.

cdef extern from *:
    """
    #define prefetch(at) __builtin_prefetch(at)
    #define prefetch_to_write(at) __builtin_prefetch(at, 1)
    """
    void prefetch(const void *) noexcept nogil
    void prefetch_to_write(const void *) noexcept nogil

cdef extern from "errno.h" nogil:
    int errno

cdef extern from "math.h" nogil:
    double fabs(double)
    double log10(double)

cdef extern from "netinet/in.h" nogil:
    struct in_addr:
        uint32_t s_addr
    struct in6_addr:
        uint8_t s6_addr[16]
    struct sockaddr_in:
        unsigned short sin_family
        uint16_t sin_port
        in_addr sin_addr
    struct sockaddr_in6:
        unsigned short sin6_family
        uint16_t sin6_port
        in6_addr sin6_addr
    uint16_t ntohs(uint16_t)
    uint16_t htons(uint16_t)

cdef extern from "sys/socket.h" nogil:
    int AF_INET, AF_INET6, MSG_DONTWAIT, MSG_TRUNC, SOL_SOCKET, SO_TIMESTAMPNS, SCM_TIMESTAMPNS
    struct sockaddr:
        pass
    struct sockaddr_storage:
        unsigned short ss_family
    struct iovec:
        void *iov_base
        size_t iov_len
    struct msghdr:
        void *msg_name
        unsigned int msg_namelen
        iovec *msg_iov
        size_t msg_iovlen
        void *msg_control
        size_t msg_controllen
        int msg_flags
    struct cmsghdr:
        int cmsg_level
        int cmsg_type
    cmsghdr *CMSG_FIRSTHDR(msghdr *)
    unsigned char *CMSG_DATA(cmsghdr *)
    ssize_t recvmsg(int, msghdr *, int)
    int setsockopt(int, int, int, const void *, unsigned int)
    int getsockname(int, sockaddr *, unsigned int *)
    ssize_t sendto(int, const void *, size_t, int, const sockaddr *, unsigned int)

cdef extern from "sys/epoll.h" nogil:
    int EPOLL_CLOEXEC, EPOLLIN, EPOLL_CTL_ADD, EPOLL_CTL_DEL
    union epoll_data_t:
        void *ptr
    struct epoll_event:
        uint32_t events
        epoll_data_t data
    int epoll_create1(int)
    int epoll_ctl(int, int, int, epoll_event *)
    int epoll_wait(int, epoll_event *, int, int)

cdef extern from "sys/eventfd.h" nogil:
    int EFD_CLOEXEC, EFD_NONBLOCK
    int eventfd(unsigned int, int)

cdef extern from "unistd.h" nogil:
    ssize_t read(int, void *, size_t)
    ssize_t write(int, const void *, size_t)
    int close(int)

cdef extern from "time.h" nogil:
    int CLOCK_MONOTONIC, CLOCK_REALTIME, TIMER_ABSTIME
    struct timespec:
        long tv_sec
        long tv_nsec
    int clock_gettime(int, timespec *)
    int clock_nanosleep(int, int, const timespec *, timespec *)

cdef extern from "signal.h" nogil:
    ctypedef struct sigset_t:
        pass
    int SIG_SETMASK
    int sigfillset(sigset_t *)

cdef extern from "pthread.h" nogil:
    ctypedef struct pthread_t:
        pass
    ctypedef struct pthread_mutex_t:
        pass
    int pthread_create(pthread_t *, void *, void *(*)(void *) noexcept nogil, void *)
    int pthread_join(pthread_t, void **)
    int pthread_setname_np(pthread_t, const char *)
    int pthread_sigmask(int, const sigset_t *, sigset_t *)
    int pthread_mutex_init(pthread_mutex_t *, void *)
    int pthread_mutex_destroy(pthread_mutex_t *)
    int pthread_mutex_lock(pthread_mutex_t *)
    int pthread_mutex_unlock(pthread_mutex_t *)


cdef inline int64_t clock_of(int which) noexcept nogil:
    cdef timespec at
    clock_gettime(which, &at)
    return <int64_t>at.tv_sec * 1000000000 + at.tv_nsec
