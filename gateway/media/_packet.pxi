# RTP packets as they come off the wire (RFC 3550, section 5.1), and where they came from.

cdef enum:
    # what a packet means to the leg, by its negotiated payload type
    UNKNOWN = 0
    AUDIO_ALAW = 1
    AUDIO_MULAW = 2
    EVENT = 3
    NOISE = 4
    EMPTY = 5  # takes up its sequence number and nothing else

cdef struct Packet:
    int meaning
    int type
    uint16_t seq
    uint32_t ts
    uint32_t ssrc
    int64_t arrival
    int length
    const uint8_t *payload

cdef struct Source:
    uint8_t ip[16]  # IPv4 as IPv4-mapped IPv6 (RFC 4291, section 2.5.5.2)
    uint16_t port


cdef inline uint32_t word(const uint8_t *at) noexcept nogil:
    return (<uint32_t>at[0] << 24) | (<uint32_t>at[1] << 16) | (<uint32_t>at[2] << 8) | at[3]


cdef bint packet_parse(Packet *packet, const uint8_t *data, Py_ssize_t size, bint encrypted) noexcept nogil:
    """Reads the header; false when the datagram is not RTP or contradicts itself. The payload may come out empty.

    While a packet is encrypted, how long its padding is cannot be read.
    """
    cdef Py_ssize_t head, padding = 0
    if size < 12 or data[0] >> 6 != 2:
        return False
    head = 12 + 4 * (data[0] & 0x0F)
    if data[0] & 0x10:
        if size < head + 4:
            return False
        head += 4 + 4 * ((<Py_ssize_t>data[head + 2] << 8) | data[head + 3])
    if data[0] & 0x20 and not encrypted:
        padding = data[size - 1]
        if padding == 0:
            return False
    if size < head + padding:
        return False
    packet.type = data[1] & 0x7F
    packet.seq = (<uint16_t>data[2] << 8) | data[3]
    packet.ts = word(data + 4)
    packet.ssrc = word(data + 8)
    packet.payload = data + head
    packet.length = <int>(size - head - padding)
    return True


cdef Packet *packet_copy(const Packet *packet) noexcept nogil:
    """Returns a copy that owns its payload, in one allocation; NULL without memory."""
    cdef Packet *copy = <Packet *>malloc(sizeof(Packet) + packet.length)
    if copy != NULL:
        copy[0] = packet[0]
        copy.payload = <const uint8_t *>(copy + 1)
        memcpy(copy + 1, packet.payload, packet.length)
    return copy


cdef void source_of(Source *source, const sockaddr_storage *address) noexcept nogil:
    cdef const sockaddr_in *v4 = <const sockaddr_in *>address
    cdef const sockaddr_in6 *v6 = <const sockaddr_in6 *>address
    if address.ss_family == AF_INET6:
        memcpy(source.ip, &v6.sin6_addr, 16)
        source.port = ntohs(v6.sin6_port)
        return
    memset(source.ip, 0, 10)
    memset(source.ip + 10, 0xFF, 2)
    memcpy(source.ip + 12, &v4.sin_addr, 4)
    source.port = ntohs(v4.sin_port)


cdef unsigned int source_address(const Source *source, bint v4, sockaddr_storage *address) noexcept nogil:
    """Writes the address for a socket of IPv4 or IPv6; returns its length, 0 where it is of the other family."""
    cdef sockaddr_in *four = <sockaddr_in *>address
    cdef sockaddr_in6 *six = <sockaddr_in6 *>address
    cdef int i
    cdef bint mapped = source.ip[10] == 0xFF and source.ip[11] == 0xFF
    memset(address, 0, sizeof(sockaddr_storage))
    for i in range(10):
        mapped = mapped and source.ip[i] == 0
    if source.port == 0 or mapped != v4:
        return 0
    if v4:
        four.sin_family, four.sin_port = AF_INET, htons(source.port)
        memcpy(&four.sin_addr, source.ip + 12, 4)
        return sizeof(sockaddr_in)
    six.sin6_family, six.sin6_port = AF_INET6, htons(source.port)
    memcpy(&six.sin6_addr, source.ip, 16)
    return sizeof(sockaddr_in6)


cdef inline bint same_address(const Source *a, const Source *b) noexcept nogil:
    return memcmp(a.ip, b.ip, 16) == 0


cdef inline bint same_source(const Source *a, const Source *b) noexcept nogil:
    return a.port == b.port and same_address(a, b)


cdef int source_parse(Source *source, object address) except -1:
    """Reads ``(numeric address, port)``.

    Raises:
        ValueError: The address is not numeric, or the port is out of range.
    """
    host, port = address[0], address[1]
    ip = ip_address(host.partition("%")[0])
    packed = ip.packed if ip.version == 6 else b"\0" * 10 + b"\xff\xff" + ip.packed
    if not 0 <= port <= 65535:
        raise ValueError(f"{port} is not a port")
    memcpy(source.ip, <const uint8_t *>packed, 16)
    source.port = port
    return 0
