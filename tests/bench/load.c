/* tests/bench/load.c: sends HTTP requests at a constant rate or as fast as they are answered, and says how long each took. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

/*
 * At a constant rate, request i is due at start + i / rate whatever the server does, and its time runs from then: a server that
 * stalls is charged for all who would have come meanwhile (no co-ordinated omission). A request that finds no free connection
 * waits for one with its clock running. Handshakes are full ones: no session is ever offered again.
 */

#define CONNS_MAX   4096
#define INPUT_MAX   (64 << 10)
#define REQUEST_MAX (16 << 10)
#define NSEC        1000000000ULL
#define GRACE_NSEC  (5 * NSEC) /* for what is under way at the end */

/* Times in a histogram with 64 steps an octave: 1.6 % wide. */
#define SUB_BITS 6
#define BUCKETS  (40 << SUB_BITS)

enum phase { CLOSED, CONNECTING, HANDSHAKE, IDLE, SENDING, READING };

struct conn {
        int fd;
        SSL *ssl;
        enum phase phase;
        bool is_post;
        uint64_t began_nsec; /* when the request was due */
        size_t sent;
        char *in;
        size_t in_len;
        struct conn *next_free;
};

static struct {
        const char *host, *unix_path, *path, *body, *header;
        unsigned port, connections, seconds, mix_percent;
        double rate;
        bool tls, close, post, stuck;
        uint64_t warm_nsec;
} opt = {.host = "127.0.0.1", .path = "/", .connections = 1, .seconds = 3};

static struct {
        uint64_t histogram[BUCKETS], max_nsec;
        uint64_t done, bad_status, errors, unsent;
} stat;

static struct conn conns[CONNS_MAX], *free_conns;
static char request_get[REQUEST_MAX], request_post[REQUEST_MAX];
static size_t request_get_len, request_post_len;
static SSL_CTX *ssl_ctx;
static char server_name[] = "localhost";
static int epoll_fd;
static uint64_t start_nsec, end_nsec, next_due_nsec, asked;

static uint64_t now_nsec(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * NSEC + (uint64_t)t.tv_nsec;
}

static void die(const char *what)
{
        fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
        exit(2);
}

/* --- times --- */

static size_t bucket_of(uint64_t usec)
{
        unsigned shift;

        if (usec < 1U << SUB_BITS)
                return usec;
        shift = 63U - (unsigned)__builtin_clzll(usec) - SUB_BITS;
        return ((size_t)(shift + 1) << SUB_BITS) + ((usec >> shift) - (1U << SUB_BITS));
}

static uint64_t usec_of(size_t bucket)
{
        unsigned shift;

        if (bucket < 1U << SUB_BITS)
                return bucket;
        shift = (unsigned)(bucket >> SUB_BITS) - 1;
        return ((1U << SUB_BITS) + (bucket & ((1U << SUB_BITS) - 1))) << shift;
}

static void count(uint64_t nsec)
{
        size_t bucket = bucket_of(nsec / 1000);

        stat.histogram[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
        if (nsec > stat.max_nsec)
                stat.max_nsec = nsec;
}

static uint64_t percentile(double share)
{
        uint64_t total = 0, seen = 0;

        for (size_t i = 0; i < BUCKETS; i++)
                total += stat.histogram[i];
        for (size_t i = 0; i < BUCKETS; i++) {
                seen += stat.histogram[i];
                if (total && (double)seen >= share * (double)total)
                        return usec_of(i);
        }
        return 0;
}

/* --- connections --- */

static void watch(struct conn *c, uint32_t events, int how)
{
        struct epoll_event ev = {.events = events, .data.ptr = c};

        if (epoll_ctl(epoll_fd, how, c->fd, &ev) < 0)
                die("epoll_ctl");
}

static void conn_close(struct conn *c)
{
        if (c->ssl) {
                /* Says good-bye, so that the server does not count it as an error; no one waits for an answer. */
                if (c->phase >= IDLE)
                        SSL_shutdown(c->ssl);
                SSL_free(c->ssl);
        }
        if (c->fd >= 0)
                close(c->fd);
        c->fd = -1;
        c->ssl = NULL;
        c->phase = CLOSED;
        c->in_len = 0;
}

static void set_free(struct conn *c)
{
        c->next_free = free_conns;
        free_conns = c;
}

static void conn_open(struct conn *c)
{
        struct sockaddr_in in = {.sin_family = AF_INET,
                                 .sin_port = htons((uint16_t)opt.port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        struct sockaddr_un un = {.sun_family = AF_UNIX};
        int one = 1, r;

        c->fd = socket(opt.unix_path ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (c->fd < 0)
                die("socket");
        if (opt.unix_path) {
                snprintf(un.sun_path, sizeof(un.sun_path), "%s", opt.unix_path);
                r = connect(c->fd, (struct sockaddr *)&un, sizeof(un));
        } else {
                setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
                r = connect(c->fd, (struct sockaddr *)&in, sizeof(in));
        }
        /* A UNIX socket's queue may be full for a moment. */
        if (r < 0 && errno == EAGAIN) {
                close(c->fd);
                usleep(1000);
                conn_open(c);
                return;
        }
        if (r < 0 && errno != EINPROGRESS)
                die("connect");
        if (opt.tls) {
                c->ssl = SSL_new(ssl_ctx);
                SSL_set_fd(c->ssl, c->fd);
                SSL_set_connect_state(c->ssl);
                SSL_set_tlsext_host_name(c->ssl, server_name);
        }
        c->phase = CONNECTING;
        watch(c, EPOLLIN | EPOLLOUT | EPOLLET, EPOLL_CTL_ADD);
}

/* Return: bytes, 0: the peer closed it, -1: not now, -2: broken. */
static ssize_t conn_io(struct conn *c, bool write_it, void *bytes, size_t len)
{
        ssize_t n;

        if (!c->ssl) {
                n = write_it ? send(c->fd, bytes, len, MSG_NOSIGNAL) : recv(c->fd, bytes, len, 0);
                return n >= 0 ? n : errno == EAGAIN || errno == EINTR ? -1 : -2;
        }
        ERR_clear_error();
        n = write_it ? SSL_write(c->ssl, bytes, (int)len) : SSL_read(c->ssl, bytes, (int)len);
        if (n > 0)
                return n;
        switch (SSL_get_error(c->ssl, (int)n)) {
        case SSL_ERROR_WANT_READ:
        case SSL_ERROR_WANT_WRITE: return -1;
        case SSL_ERROR_ZERO_RETURN: return 0;
        default: return -2;
        }
}

/* --- requests --- */

static void step(struct conn *c);

static bool is_over(void)
{
        return now_nsec() >= end_nsec;
}

/* Has the next request been due? Return: true with the time from which it counts. */
static bool next_request(uint64_t *ret_due_nsec)
{
        uint64_t now = now_nsec();

        if (opt.rate <= 0) {
                *ret_due_nsec = now;
                return now < end_nsec;
        }
        if (next_due_nsec > now || next_due_nsec >= end_nsec)
                return false;
        *ret_due_nsec = next_due_nsec;
        next_due_nsec = start_nsec + (uint64_t)((double)++asked * (double)NSEC / opt.rate);
        return true;
}

static void begin(struct conn *c, uint64_t due_nsec)
{
        static unsigned turn;

        c->began_nsec = due_nsec;
        c->sent = 0;
        c->in_len = 0;
        c->is_post = opt.post || (opt.mix_percent && turn++ % 100 * opt.mix_percent % 100 < opt.mix_percent);
        if (c->phase == CLOSED) {
                conn_open(c);
                return;
        }
        c->phase = SENDING;
        step(c);
}

/* The connection has nothing to do: the next request, or rest. */
static void rest(struct conn *c)
{
        uint64_t due_nsec;

        if (next_request(&due_nsec))
                begin(c, due_nsec);
        else
                set_free(c);
}

static void failed(struct conn *c)
{
        conn_close(c);
        if (!is_over())
                stat.errors++;
        set_free(c);
}

/* Return: where a chunked body ends; 0: not here yet; SIZE_MAX: no such body. */
static size_t chunked_end(const struct conn *c, size_t at)
{
        for (;;) {
                const char *line_end = memmem(c->in + at, c->in_len - at, "\r\n", 2);
                char *digits_end;
                size_t size;

                if (!line_end)
                        return 0;
                size = strtoul(c->in + at, &digits_end, 16);
                if (digits_end == c->in + at || size > INPUT_MAX)
                        return SIZE_MAX;
                at = (size_t)(line_end - c->in) + 2 + size + 2;
                if (at > c->in_len)
                        return 0;
                if (size == 0)
                        return at;
        }
}

/* Return: 0: not whole yet; else its length, with the status; SIZE_MAX: no answer that we understand. */
static size_t answer_len(const struct conn *c, unsigned *ret_status)
{
        const char *head_end = memmem(c->in, c->in_len, "\r\n\r\n", 4), *p;
        size_t body = 0;
        bool chunked = false;

        if (!head_end)
                return c->in_len >= INPUT_MAX ? SIZE_MAX : 0;
        if (c->in_len < 12 || memcmp(c->in, "HTTP/1.1 ", 9) != 0)
                return SIZE_MAX;
        *ret_status = (unsigned)strtoul(c->in + 9, NULL, 10);
        for (p = c->in; p < head_end; p = strstr(p, "\r\n") + 2) {
                if (strncasecmp(p, "content-length:", 15) == 0)
                        body = strtoul(p + 15, NULL, 10);
                else if (strncasecmp(p, "transfer-encoding: chunked", 26) == 0)
                        chunked = true;
                if (!strstr(p, "\r\n"))
                        break;
        }
        if (chunked)
                return chunked_end(c, (size_t)(head_end - c->in) + 4);
        body += (size_t)(head_end - c->in) + 4;
        return body > INPUT_MAX ? SIZE_MAX : c->in_len >= body ? body : 0;
}

static void answered(struct conn *c, unsigned status)
{
        uint64_t now = now_nsec();

        if (c->began_nsec >= start_nsec + opt.warm_nsec && now < end_nsec + GRACE_NSEC) {
                count(now - c->began_nsec);
                stat.done++;
        }
        if (status < 200 || status >= 300)
                stat.bad_status++;
        if (opt.close)
                conn_close(c);
        else
                c->phase = IDLE;
        rest(c);
}

static void read_answer(struct conn *c)
{
        for (;;) {
                ssize_t n = conn_io(c, false, c->in + c->in_len, INPUT_MAX - c->in_len);
                unsigned status = 0;
                size_t len;

                if (n == -1)
                        return;
                if (n <= 0) {
                        failed(c);
                        return;
                }
                c->in_len += (size_t)n;
                c->in[c->in_len] = '\0';
                len = answer_len(c, &status);
                if (len == SIZE_MAX) {
                        failed(c);
                        return;
                }
                if (len) {
                        answered(c, status);
                        return;
                }
        }
}

static void send_request(struct conn *c)
{
        char *bytes = c->is_post ? request_post : request_get;
        size_t len = c->is_post ? request_post_len : request_get_len;

        while (c->sent < len) {
                ssize_t n = conn_io(c, true, bytes + c->sent, len - c->sent);

                if (n == -1)
                        return;
                if (n <= 0) {
                        failed(c);
                        return;
                }
                c->sent += (size_t)n;
        }
        c->phase = READING;
        read_answer(c);
}

static void connected(struct conn *c)
{
        int error = 0;
        socklen_t len = sizeof(error);

        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len);
        if (error) {
                failed(c);
                return;
        }
        c->phase = c->ssl ? HANDSHAKE : SENDING;
        step(c);
}

static void handshake(struct conn *c)
{
        int r;

        ERR_clear_error();
        r = SSL_do_handshake(c->ssl);
        if (r == 1) {
                c->phase = SENDING;
                step(c);
                return;
        }
        r = SSL_get_error(c->ssl, r);
        if (r != SSL_ERROR_WANT_READ && r != SSL_ERROR_WANT_WRITE)
                failed(c);
}

static void step(struct conn *c)
{
        switch (c->phase) {
        case CONNECTING: connected(c); break;
        case HANDSHAKE: handshake(c); break;
        case SENDING: send_request(c); break;
        case READING: read_answer(c); break;
        case IDLE: /* the server closed it, or sent session tickets */
                if (conn_io(c, false, c->in, 1) != -1)
                        conn_close(c);
                break;
        case CLOSED: break;
        }
}

/* --- the run --- */

static void give_out_due(void)
{
        uint64_t due_nsec;

        while (free_conns && next_request(&due_nsec)) {
                struct conn *c = free_conns;

                free_conns = c->next_free;
                begin(c, due_nsec);
        }
}

static bool all_rest(void)
{
        unsigned n = 0;

        for (const struct conn *c = free_conns; c; c = c->next_free)
                n++;
        return n == opt.connections;
}

static int wait_msec(void)
{
        uint64_t now = now_nsec();

        if (opt.rate <= 0 || next_due_nsec >= end_nsec)
                return 10;
        return next_due_nsec <= now ? (free_conns ? 0 : 1) : (int)((next_due_nsec - now) / 1000000);
}

static void run(void)
{
        struct epoll_event events[256];

        start_nsec = next_due_nsec = now_nsec();
        end_nsec = start_nsec + opt.seconds * NSEC;
        for (unsigned i = 0; i < opt.connections; i++)
                set_free(&conns[i]);
        while (now_nsec() < end_nsec || (!all_rest() && now_nsec() < end_nsec + GRACE_NSEC)) {
                int n;

                give_out_due();
                n = epoll_wait(epoll_fd, events, 256, wait_msec());
                for (int i = 0; i < n; i++)
                        step(events[i].data.ptr);
        }
        /* What was due and never sent is the worst of all: it counts as failed. */
        if (opt.rate > 0)
                while (next_due_nsec < end_nsec) {
                        stat.unsent++;
                        next_due_nsec = start_nsec + (uint64_t)((double)++asked * (double)NSEC / opt.rate);
                }
        for (unsigned i = 0; i < opt.connections; i++)
                if (conns[i].phase > IDLE || (conns[i].phase != CLOSED && conns[i].phase < IDLE))
                        stat.errors++;
}

/* Connections that begin a request and never end it, one byte each two seconds; a closed one is opened again. */
static void run_stuck(void)
{
        struct epoll_event events[256];
        uint64_t next_byte_nsec;

        start_nsec = now_nsec();
        end_nsec = start_nsec + opt.seconds * NSEC;
        next_byte_nsec = start_nsec + 2 * NSEC;
        for (unsigned i = 0; i < opt.connections; i++)
                conn_open(&conns[i]);
        while (now_nsec() < end_nsec) {
                int n = epoll_wait(epoll_fd, events, 256, 100);

                for (int i = 0; i < n; i++) {
                        struct conn *c = events[i].data.ptr;

                        if (c->phase == CONNECTING) {
                                c->phase = READING;
                                if (send(c->fd, "GET / HTTP/1.1\r\nX-Slow: ", 24, MSG_NOSIGNAL) == 24)
                                        stat.done++;
                        } else if (events[i].events & (EPOLLIN | EPOLLHUP) && recv(c->fd, c->in, INPUT_MAX, 0) != -1) {
                                stat.errors++;
                                conn_close(c);
                        }
                }
                if (now_nsec() < next_byte_nsec)
                        continue;
                next_byte_nsec += 2 * NSEC;
                for (unsigned i = 0; i < opt.connections; i++)
                        if (conns[i].phase == CLOSED)
                                conn_open(&conns[i]);
                        else
                                (void)!send(conns[i].fd, "x", 1, MSG_NOSIGNAL);
        }
}

static void make_requests(void)
{
        const char *extra = opt.header ? opt.header : "", *end = opt.header ? "\r\n" : "";
        const char *close_it = opt.close ? "Connection: close\r\n" : "", *body = opt.body ? opt.body : "";

        request_get_len = (size_t)snprintf(request_get, REQUEST_MAX, "GET %s HTTP/1.1\r\nHost: localhost\r\n%s%s%s\r\n",
                                           opt.path, close_it, extra, end);
        /* The path of a post has no query. */
        request_post_len =
                (size_t)snprintf(request_post, REQUEST_MAX,
                                 "POST %.*s HTTP/1.1\r\nHost: localhost\r\n%s%s%sContent-Type: application/json\r\n"
                                 "Content-Length: %zu\r\n\r\n%s",
                                 (int)strcspn(opt.path, "?"), opt.path, close_it, extra, end, strlen(body), body);
}

static void usage(void)
{
        fputs("usage: load [--port N | --unix PATH] [--tls] [--path P] [--post | --mix PERCENT] [--body B] [--header "
              "H]\n"
              "            [--connections N] [--rate PER_S] [--seconds N] [--warm N] [--close] [--stuck]\n",
              stderr);
        exit(2);
}

static void read_options(int argc, char **argv)
{
        static const struct option options[] = {
                {"port", required_argument, NULL, 'p'},
                {"unix", required_argument, NULL, 'u'},
                {"path", required_argument, NULL, 'P'},
                {"body", required_argument, NULL, 'b'},
                {"header", required_argument, NULL, 'H'},
                {"mix", required_argument, NULL, 'm'},
                {"connections", required_argument, NULL, 'c'},
                {"rate", required_argument, NULL, 'r'},
                {"seconds", required_argument, NULL, 's'},
                {"warm", required_argument, NULL, 'w'},
                {"tls", no_argument, NULL, 't'},
                {"post", no_argument, NULL, 'o'},
                {"close", no_argument, NULL, 'C'},
                {"stuck", no_argument, NULL, 'S'},
                {0},
        };
        int c;

        while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
                switch (c) {
                case 'p': opt.port = (unsigned)atoi(optarg); break;
                case 'u': opt.unix_path = optarg; break;
                case 'P': opt.path = optarg; break;
                case 'b': opt.body = optarg; break;
                case 'H': opt.header = optarg; break;
                case 'm': opt.mix_percent = (unsigned)atoi(optarg); break;
                case 'c': opt.connections = (unsigned)atoi(optarg); break;
                case 'r': opt.rate = atof(optarg); break;
                case 's': opt.seconds = (unsigned)atoi(optarg); break;
                case 'w': opt.warm_nsec = (uint64_t)atoi(optarg) * NSEC; break;
                case 't': opt.tls = true; break;
                case 'o': opt.post = true; break;
                case 'C': opt.close = true; break;
                case 'S': opt.stuck = true; break;
                default: usage();
                }
        }
        if (optind != argc || (!opt.port && !opt.unix_path) || opt.connections < 1 || opt.connections > CONNS_MAX ||
            opt.seconds < 1 || opt.mix_percent > 100)
                usage();
}

int main(int argc, char **argv)
{
        double seconds;

        read_options(argc, argv);
        make_requests();
        epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (epoll_fd < 0)
                die("epoll");
        if (opt.tls) {
                ssl_ctx = SSL_CTX_new(TLS_client_method());
                /* We measure the server; whether its certificate is the right one is tested elsewhere. */
                SSL_CTX_set_verify(ssl_ctx, SSL_VERIFY_NONE, NULL);
                SSL_CTX_set_session_cache_mode(ssl_ctx, SSL_SESS_CACHE_OFF);
        }
        for (unsigned i = 0; i < opt.connections; i++) {
                conns[i].fd = -1;
                conns[i].in = malloc(INPUT_MAX + 1);
                if (!conns[i].in)
                        die("memory");
        }
        if (opt.stuck)
                run_stuck();
        else
                run();
        seconds = opt.seconds - (double)opt.warm_nsec / (double)NSEC;
        printf("{\"requests\": %llu, \"per_second\": %.1f, \"bad_status\": %llu, \"errors\": %llu, \"unsent\": %llu, "
               "\"p50_us\": %llu, \"p90_us\": %llu, \"p99_us\": %llu, \"p999_us\": %llu, \"max_us\": %llu}\n",
               (unsigned long long)stat.done, (double)stat.done / seconds, (unsigned long long)stat.bad_status,
               (unsigned long long)stat.errors, (unsigned long long)stat.unsent, (unsigned long long)percentile(0.5),
               (unsigned long long)percentile(0.9), (unsigned long long)percentile(0.99),
               (unsigned long long)percentile(0.999), (unsigned long long)(stat.max_nsec / 1000));
        return 0;
}
