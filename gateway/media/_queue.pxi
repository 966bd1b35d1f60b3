# The hand-over from the receiver's thread to Python: a bounded queue of finished chunks and digits.
#
# When it is full, the newest audio gives way: its leg remembers the hole, and as soon as there is room one chunk without
# payload covers it, so that the chunks of a leg tile its clock whatever happens. A leg's last chunk always gets in.

cdef enum:
    MAX_SPANS = 32

cdef struct CSpan:
    int kind
    int64_t first
    int64_t samples

cdef struct Item:
    Item *next
    int64_t leg
    int64_t first
    int64_t samples
    int64_t arrived_first
    int64_t arrived_last
    int payload
    int levels
    int spans
    uint8_t codec
    uint8_t key   # 0: a chunk, and spans, payload and levels follow the struct; else a digit
    bint control  # an RTCP packet follows the struct
    bint last

cdef struct Queue:
    pthread_mutex_t lock
    Item *head
    Item *tail
    int64_t length
    int64_t bound
    int64_t dropped
    bint news  # something came in since the reader was last told


cdef void queue_init(Queue *queue, int64_t bound) noexcept nogil:
    memset(queue, 0, sizeof(Queue))
    pthread_mutex_init(&queue.lock, NULL)
    queue.bound = bound


cdef bint queue_room(Queue *queue) noexcept nogil:
    """Whether the queue has room."""
    cdef bint room
    pthread_mutex_lock(&queue.lock)
    room = queue.length < queue.bound
    pthread_mutex_unlock(&queue.lock)
    return room


cdef void queue_figures(Queue *queue, int64_t *waiting, int64_t *dropped) noexcept nogil:
    """Tells how many items wait, and how many were dropped so far."""
    pthread_mutex_lock(&queue.lock)
    waiting[0], dropped[0] = queue.length, queue.dropped
    pthread_mutex_unlock(&queue.lock)


cdef int64_t queue_dropped(Queue *queue) noexcept nogil:
    cdef int64_t waiting, dropped
    queue_figures(queue, &waiting, &dropped)
    return dropped


cdef bint queue_put(Queue *queue, Item *item, bint always) noexcept nogil:
    """Takes an item; false where there is no room and it need not get in: it is counted, and the caller frees it."""
    cdef bint room
    item.next = NULL
    pthread_mutex_lock(&queue.lock)
    room = always or queue.length < queue.bound
    if not room:
        queue.dropped += 1
    else:
        if queue.tail == NULL:
            queue.head = item
        else:
            queue.tail.next = item
        queue.tail = item
        queue.length += 1
        queue.news = True
    pthread_mutex_unlock(&queue.lock)
    return room


cdef Item *queue_take(Queue *queue) noexcept nogil:
    """Returns all that is queued, linked in order."""
    cdef Item *head
    pthread_mutex_lock(&queue.lock)
    head = queue.head
    queue.head = queue.tail = NULL
    queue.length = 0
    pthread_mutex_unlock(&queue.lock)
    return head


cdef void queue_destroy(Queue *queue) noexcept nogil:
    cdef Item *item = queue_take(queue)
    cdef Item *after
    while item != NULL:
        after = item.next
        free(item)
        item = after
    pthread_mutex_destroy(&queue.lock)


cdef Item *chunk_item(int64_t leg, int codec, int64_t first, int64_t samples, const CSpan *spans, int count,
                      const uint8_t *payload, int length) noexcept nogil:
    """Makes a chunk in one allocation: the struct, its spans, its payload, its levels. NULL without memory."""
    cdef int levels = length // FRAME, i
    cdef Item *item = <Item *>malloc(sizeof(Item) + count * sizeof(CSpan) + length + levels)
    cdef uint8_t *room
    if item == NULL:
        return NULL
    memset(item, 0, sizeof(Item))
    item.leg, item.codec, item.first, item.samples = leg, codec, first, samples
    item.spans, item.payload, item.levels = count, length, levels
    room = <uint8_t *>(item + 1)
    memcpy(room, spans, count * sizeof(CSpan))
    room += count * sizeof(CSpan)
    memcpy(room, payload, length)
    for i in range(levels):
        room[length + i] = level_of(codec, payload + i * FRAME)
    return item


cdef object item_object(const Item *item):
    """Returns the item as a Chunk, a Digit or a Control."""
    cdef const CSpan *spans = <const CSpan *>(item + 1)
    cdef const uint8_t *payload = <const uint8_t *>(spans + item.spans)
    cdef int i
    if item.key:
        return Digit(item.leg, chr(item.key), item.first, item.samples)
    if item.control:
        return Control(item.leg, (<const uint8_t *>(item + 1))[:item.payload], item.arrived_first, item.first,
                       item.samples)
    # as ``Chunk(...)`` does it, without its detour by way of Python
    return tuple.__new__(Chunk, (
        item.leg,
        CODECS[item.codec],
        item.first,
        item.samples,
        payload[:item.payload],
        tuple([tuple.__new__(Span, (KINDS[spans[i].kind], spans[i].first, spans[i].samples))
               for i in range(item.spans)]),
        (payload + item.payload)[:item.levels],
        item.arrived_first,
        item.arrived_last,
        bool(item.last),
    ))


cdef list queue_objects(Queue *queue):
    """Returns all that is queued, in order, as Python objects."""
    cdef Item *item = queue_take(queue)
    cdef Item *after
    found = []
    while item != NULL:
        after = item.next
        found.append(item_object(item))
        free(item)
        item = after
    return found
