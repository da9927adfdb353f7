/* tests/unit/test_tls.c: certificates change under living connections and between handshakes; nothing fails. */
#include <errno.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <openssl/crypto.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "app/tls.h"
#include "common/clock.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/parse.h"
#include "tests/unit/support_memscan.h"

#define HOUR 3600L

/* --- certificates made here --- */

struct issued {
        EVP_PKEY *key;
        X509 *cert;
        char *key_pem, *cert_pem;
};

static char *pem_of(BIO *bio)
{
        char *bytes, *text;
        long len = BIO_get_mem_data(bio, &bytes);

        text = mem_strndup(bytes, (size_t)len);
        BIO_free(bio);
        return text;
}

/* issuer NULL: self-signed. */
static struct issued issue(const char *name, const struct issued *issuer, long from, long until)
{
        struct issued i = {.key = EVP_EC_gen("P-256"), .cert = X509_new()};
        X509_NAME *subject = X509_get_subject_name(i.cert);
        BIO *bio;

        X509_set_version(i.cert, 2);
        ASN1_INTEGER_set(X509_get_serialNumber(i.cert), 1);
        X509_gmtime_adj(X509_getm_notBefore(i.cert), from);
        X509_gmtime_adj(X509_getm_notAfter(i.cert), until);
        X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
        X509_set_issuer_name(i.cert, issuer ? X509_get_subject_name(issuer->cert) : subject);
        X509_set_pubkey(i.cert, i.key);
        if (!issuer) { /* it may sign others: without this nobody takes it for an authority */
                X509_EXTENSION *ca = X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:TRUE");

                assert_int_equal(X509_add_ext(i.cert, ca, -1), 1);
                X509_EXTENSION_free(ca);
        }
        assert_true(X509_sign(i.cert, issuer ? issuer->key : i.key, EVP_sha256()) > 0);
        bio = BIO_new(BIO_s_mem());
        assert_int_equal(PEM_write_bio_X509(bio, i.cert), 1);
        i.cert_pem = pem_of(bio);
        bio = BIO_new(BIO_s_mem());
        assert_int_equal(PEM_write_bio_PrivateKey(bio, i.key, NULL, NULL, 0, NULL, NULL), 1);
        i.key_pem = pem_of(bio);
        return i;
}

static void issued_done(struct issued *i)
{
        EVP_PKEY_free(i->key);
        X509_free(i->cert);
        mem_free(i->key_pem);
        mem_free(i->cert_pem);
}

static json_t *data_of(const char *cert, const char *key)
{
        return json_pack("{s:s, s:s, s:[]}", "certificate", cert, "private_key", key, "ca_chain");
}

static int swap(struct tls *t, const char *cert, const char *key, char **ret_error)
{
        json_t *data = data_of(cert, key);
        int r = tls_swap(t, data, ret_error);

        json_decref(data);
        return r;
}

static void swap_to(struct tls *t, const char *name)
{
        struct issued i = issue(name, NULL, -HOUR, HOUR);
        char *error = NULL;

        assert_int_equal(swap(t, i.cert_pem, i.key_pem, &error), 0);
        issued_done(&i);
}

/* --- a server on the loop, a client beside it --- */

struct scene {
        struct loop *loop;
        struct tls *tls;
        SSL_CTX *client_ctx;
        SSL_SESSION *session; /* the newest ticket */
};

struct talk {
        struct bufferevent *server;
        SSL *client;
        int fd;
        bool failed;
};

static void echo(struct bufferevent *bev, void *arg)
{
        (void)arg;
        bufferevent_write_buffer(bev, bufferevent_get_input(bev));
}

static void on_server_event(struct bufferevent *bev, short what, void *arg)
{
        struct talk *t = arg;

        (void)bev;
        if (what & (BEV_EVENT_ERROR | BEV_EVENT_EOF))
                t->failed = true;
}

static void turn(struct scene *s)
{
        event_base_loop(loop_base(s->loop), EVLOOP_NONBLOCK);
}

static void talk_begin(struct scene *s, struct talk *t)
{
        int fds[2];

        *t = (struct talk){0};
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
        t->server = tls_wrap(loop_base(s->loop), fds[0], s->tls);
        assert_non_null(t->server);
        bufferevent_setcb(t->server, echo, NULL, on_server_event, t);
        bufferevent_enable(t->server, EV_READ | EV_WRITE);
        t->fd = fds[1];
        t->client = SSL_new(s->client_ctx);
        SSL_set_fd(t->client, t->fd);
}

static void talk_end(struct talk *t)
{
        /* Without a word of good-bye OpenSSL takes the session for cut off and does not resume it. */
        SSL_shutdown(t->client);
        SSL_free(t->client);
        bufferevent_free(t->server);
        close(t->fd);
}

/* Return: did the handshake succeed? Both sides are moved on by turns; it ends when either fails. */
static bool handshake(struct scene *s, struct talk *t)
{
        for (int i = 0; i < 1000; i++) {
                int r = SSL_connect(t->client), e = SSL_get_error(t->client, r);

                if (r == 1)
                        return true;
                if (e != SSL_ERROR_WANT_READ && e != SSL_ERROR_WANT_WRITE)
                        return false;
                turn(s);
                if (t->failed) {
                        r = SSL_connect(t->client);
                        return r == 1;
                }
        }
        return false;
}

/* Return: does a message come back? Tickets are taken on the way. */
static bool exchange_bytes(struct scene *s, struct talk *t)
{
        char answer[8] = "";

        if (SSL_write(t->client, "hello", 5) != 5)
                return false;
        for (int i = 0; i < 1000; i++) {
                if (SSL_read(t->client, answer, sizeof(answer)) == 5)
                        return memcmp(answer, "hello", 5) == 0;
                turn(s);
        }
        return false;
}

static void assert_shown(struct talk *t, const char *name)
{
        X509 *cert = SSL_get1_peer_certificate(t->client);
        char shown[64] = "";

        assert_non_null(cert);
        X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, shown, sizeof(shown));
        X509_free(cert);
        assert_string_equal(shown, name);
}

static int on_session(SSL *ssl, SSL_SESSION *session)
{
        struct scene *s = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

        SSL_SESSION_free(s->session);
        s->session = session;
        return 1;
}

static int set_up(void **state)
{
        struct scene *s = mem_new(sizeof(*s));

        s->loop = loop_new();
        s->tls = tls_new();
        s->client_ctx = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_app_data(s->client_ctx, s);
        SSL_CTX_set_session_cache_mode(s->client_ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(s->client_ctx, on_session);
        *state = s;
        return 0;
}

static int tear_down(void **state)
{
        struct scene *s = *state;

        SSL_SESSION_free(s->session);
        SSL_CTX_free(s->client_ctx);
        tls_free(s->tls);
        loop_free(s->loop);
        mem_free(s);
        return 0;
}

/* --- the tests --- */

static void without_a_certificate_there_is_no_handshake(void **state)
{
        struct scene *s = *state;
        int fds[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
        assert_null(tls_wrap(loop_base(s->loop), fds[0], s->tls));
        assert_false(tls_has_certificate(s->tls));
        assert_true(tls_not_after_usec(s->tls) == 0);
        /* Not closed: that is the caller's part. */
        assert_int_equal(close(fds[0]), 0);
        close(fds[1]);
}

static void the_next_handshake_shows_the_new_certificate_and_living_connections_go_on(void **state)
{
        struct scene *s = *state;
        struct talk before, between, after;

        swap_to(s->tls, "first");
        talk_begin(s, &before);
        assert_true(handshake(s, &before));
        talk_begin(s, &between); /* accepted before the swap, shakes hands after it */
        swap_to(s->tls, "second");
        talk_begin(s, &after);
        assert_true(handshake(s, &after));
        assert_true(handshake(s, &between));
        assert_shown(&before, "first");
        assert_shown(&between, "first");
        assert_shown(&after, "second");
        assert_true(exchange_bytes(s, &before));
        assert_true(exchange_bytes(s, &between));
        assert_true(exchange_bytes(s, &after));
        talk_end(&before);
        talk_end(&between);
        talk_end(&after);
}

static void a_ticket_resumes_until_the_swap_and_not_after(void **state)
{
        struct scene *s = *state;
        struct talk t;

        swap_to(s->tls, "first");
        talk_begin(s, &t);
        assert_true(handshake(s, &t));
        assert_true(exchange_bytes(s, &t));
        assert_non_null(s->session);
        talk_end(&t);

        talk_begin(s, &t);
        SSL_set_session(t.client, s->session);
        assert_true(handshake(s, &t));
        assert_int_equal(SSL_session_reused(t.client), 1);
        assert_true(exchange_bytes(s, &t));
        talk_end(&t);

        swap_to(s->tls, "second");
        talk_begin(s, &t);
        SSL_set_session(t.client, s->session);
        assert_true(handshake(s, &t));
        assert_int_equal(SSL_session_reused(t.client), 0);
        assert_shown(&t, "second");
        talk_end(&t);
}

static void what_cannot_be_used_leaves_the_old_certificate_in_place(void **state)
{
        struct scene *s = *state;
        struct issued good = issue("good", NULL, -HOUR, HOUR), other = issue("other", NULL, -HOUR, HOUR);
        struct issued expired = issue("expired", NULL, -2 * HOUR, -HOUR);
        const struct {
                const char *cert, *key, *says;
        } wrong[] = {
                {good.cert_pem, other.key_pem, "does not fit"},
                {expired.cert_pem, expired.key_pem, "expired"},
                {"no certificate", good.key_pem, "certificate cannot be read"},
                {"", good.key_pem, "certificate cannot be read"},
                {good.cert_pem, "no key", "key cannot be read"},
                {good.cert_pem, good.cert_pem, "key cannot be read"},
        };
        struct talk t;

        swap_to(s->tls, "old");
        for (size_t i = 0; i < array_len(wrong); i++) {
                char *error = NULL;

                assert_int_equal(swap(s->tls, wrong[i].cert, wrong[i].key, &error), -EINVAL);
                assert_non_null(strstr(error, wrong[i].says));
                assert_null(strstr(error, "BEGIN"));
                mem_free(error);
        }
        talk_begin(s, &t);
        assert_true(handshake(s, &t));
        assert_shown(&t, "old");
        talk_end(&t);
        issued_done(&good);
        issued_done(&other);
        issued_done(&expired);
}

static void members_that_are_missing_are_named(void **state)
{
        struct scene *s = *state;
        json_t *data = json_pack("{s:s}", "certificate", "x");
        char *error = NULL;

        assert_int_equal(tls_swap(s->tls, data, &error), -EINVAL);
        assert_non_null(strstr(error, "private_key"));
        mem_free(error);
        json_decref(data);
}

static void the_chain_is_sent_without_its_root(void **state)
{
        struct scene *s = *state;
        struct issued root = issue("root", NULL, -HOUR, HOUR), middle = issue("middle", &root, -HOUR, HOUR);
        struct issued leaf = issue("leaf", &middle, -HOUR, HOUR);
        json_t *data = data_of(leaf.cert_pem, leaf.key_pem);
        char *error = NULL;
        struct talk t;

        json_array_append_new(json_object_get(data, "ca_chain"), json_string(middle.cert_pem));
        json_array_append_new(json_object_get(data, "ca_chain"), json_string(root.cert_pem));
        assert_int_equal(tls_swap(s->tls, data, &error), 0);
        talk_begin(s, &t);
        assert_true(handshake(s, &t));
        assert_int_equal(sk_X509_num(SSL_get_peer_cert_chain(t.client)), 2);
        talk_end(&t);

        json_array_append_new(json_object_get(data, "ca_chain"), json_string("damaged"));
        assert_int_equal(tls_swap(s->tls, data, &error), -EINVAL);
        assert_non_null(strstr(error, "chain"));
        mem_free(error);
        json_decref(data);
        issued_done(&root);
        issued_done(&middle);
        issued_done(&leaf);
}

static void old_protocols_are_refused(void **state)
{
        struct scene *s = *state;
        struct talk t;

        swap_to(s->tls, "one");
        SSL_CTX_set_security_level(s->client_ctx, 0);
        SSL_CTX_set_min_proto_version(s->client_ctx, TLS1_VERSION);
        SSL_CTX_set_max_proto_version(s->client_ctx, TLS1_1_VERSION);
        talk_begin(s, &t);
        assert_false(handshake(s, &t));
        talk_end(&t);
        SSL_CTX_set_max_proto_version(s->client_ctx, TLS1_2_VERSION);
        talk_begin(s, &t);
        assert_true(handshake(s, &t));
        talk_end(&t);
}

static void alpn_knows_http_1_1_alone(void **state)
{
        static const unsigned char both[] = "\x02h2\x08http/1.1", h2[] = "\x02h2";
        struct scene *s = *state;
        const unsigned char *selected;
        unsigned len;
        struct talk t;

        swap_to(s->tls, "one");
        talk_begin(s, &t);
        SSL_set_alpn_protos(t.client, both, sizeof(both) - 1);
        assert_true(handshake(s, &t));
        SSL_get0_alpn_selected(t.client, &selected, &len);
        assert_int_equal(len, 8);
        assert_memory_equal(selected, "http/1.1", 8);
        talk_end(&t);
        talk_begin(s, &t);
        SSL_set_alpn_protos(t.client, h2, sizeof(h2) - 1);
        assert_false(handshake(s, &t));
        talk_end(&t);
}

static void the_end_of_the_certificate_is_known(void **state)
{
        struct scene *s = *state;
        uint64_t now_usec = clock_realtime_usec(), end_usec;

        swap_to(s->tls, "one");
        end_usec = tls_not_after_usec(s->tls);
        assert_true(end_usec > now_usec + (HOUR - 10) * USEC_PER_SEC &&
                    end_usec < now_usec + (HOUR + 10) * USEC_PER_SEC);
}

static void a_connection_ends_with_close_notify(void **state)
{
        struct scene *s = *state;
        struct talk t;
        char byte;

        swap_to(s->tls, "one");
        talk_begin(s, &t);
        assert_true(handshake(s, &t));
        assert_true(exchange_bytes(s, &t));
        tls_bye(t.server, NULL);
        assert_int_equal(SSL_read(t.client, &byte, 1), 0);
        assert_int_equal(SSL_get_error(t.client, 0), SSL_ERROR_ZERO_RETURN);
        talk_end(&t);
}

/* What the socket does not take at once goes through the buffer, and nothing is lost or comes twice. */
static void what_is_sent_at_once_and_what_waits_arrive_in_order(void **state)
{
        enum { PIECE = 8000, SPACE = 9000 };
        struct scene *s = *state;
        unsigned pieces = 0, arrived = 0;
        char piece[PIECE], got[SPACE];
        size_t filled = 0;
        struct talk t;

        swap_to(s->tls, "one");
        talk_begin(s, &t);
        assert_true(handshake(s, &t));
        assert_true(exchange_bytes(s, &t));
        for (bool full = false; !full && pieces < 1000; pieces++) {
                memset(piece, 'a' + (int)(pieces % 26), sizeof(piece));
                full = tls_send(t.server, piece, sizeof(piece)) == 0;
                if (full)
                        bufferevent_write(t.server, piece, sizeof(piece));
        }
        assert_in_range(pieces, 2, 999);
        for (int i = 0; i < 100000 && arrived < pieces; i++) {
                int n = SSL_read(t.client, got + filled, (int)(PIECE - filled));

                turn(s);
                if (n <= 0)
                        continue;
                filled += (size_t)n;
                if (filled < PIECE)
                        continue;
                memset(piece, 'a' + (int)(arrived++ % 26), sizeof(piece));
                assert_memory_equal(got, piece, PIECE);
                filled = 0;
        }
        assert_int_equal(arrived, pieces);
        assert_false(t.failed);
        talk_end(&t);
}

static void sending_to_a_peer_that_is_gone_fails(void **state)
{
        struct scene *s = *state;
        struct talk t;

        swap_to(s->tls, "one");
        talk_begin(s, &t);
        assert_true(handshake(s, &t));
        assert_int_equal(shutdown(t.fd, SHUT_RDWR), 0);
        assert_int_equal(tls_send(t.server, "x", 1), -EPIPE);
        talk_end(&t);
}

/* --- clients with certificates --- */

static void require(struct scene *s, const struct issued *ca)
{
        json_t *data = json_pack("{s:s}", "ca_cert", ca->cert_pem);
        char *error = NULL;

        tls_require_clients(s->tls);
        assert_int_equal(tls_swap_client_ca(s->tls, data, &error), 0);
        json_decref(data);
}

/* Return: does the server talk with a client that shows this certificate? NULL: it shows none. */
static bool talks_with(struct scene *s, const struct issued *who)
{
        struct talk t;
        bool is_good;

        talk_begin(s, &t);
        if (who) {
                SSL_use_certificate(t.client, who->cert);
                SSL_use_PrivateKey(t.client, who->key);
        }
        is_good = handshake(s, &t) && exchange_bytes(s, &t);
        talk_end(&t);
        return is_good;
}

static void clients_are_asked_for_a_certificate_of_their_authority(void **state)
{
        struct scene *s = *state;
        struct issued ca = issue("CA", NULL, -HOUR, HOUR), other_ca = issue("other CA", NULL, -HOUR, HOUR);
        struct issued mine = issue("me", &ca, -HOUR, HOUR), foreign = issue("stranger", &other_ca, -HOUR, HOUR);
        struct issued expired = issue("late", &ca, -2 * HOUR, -HOUR);

        swap_to(s->tls, "one");
        assert_true(talks_with(s, NULL));
        require(s, &ca);
        assert_true(talks_with(s, &mine));
        assert_false(talks_with(s, NULL));
        assert_false(talks_with(s, &foreign));
        assert_false(talks_with(s, &expired));
        /* Either half may change: the other stays. */
        swap_to(s->tls, "two");
        assert_true(talks_with(s, &mine));
        assert_false(talks_with(s, NULL));
        require(s, &other_ca);
        assert_false(talks_with(s, &mine));
        assert_true(talks_with(s, &foreign));
        issued_done(&ca);
        issued_done(&other_ca);
        issued_done(&mine);
        issued_done(&foreign);
        issued_done(&expired);
}

static void without_the_authority_of_clients_there_is_no_handshake(void **state)
{
        struct scene *s = *state;
        struct issued ca = issue("CA", NULL, -HOUR, HOUR);
        json_t *wrong = json_pack("{s:s}", "ca_cert", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
               *empty = json_object();
        char *error = NULL;

        swap_to(s->tls, "one");
        tls_require_clients(s->tls);
        assert_false(tls_has_certificate(s->tls));
        assert_null(tls_wrap(loop_base(s->loop), -1, s->tls));
        assert_int_equal(tls_swap_client_ca(s->tls, wrong, &error), -EINVAL);
        assert_non_null(strstr(error, "cannot be read"));
        mem_free(error);
        assert_int_equal(tls_swap_client_ca(s->tls, empty, &error), -EINVAL);
        assert_non_null(strstr(error, "ca_cert"));
        mem_free(error);
        require(s, &ca);
        assert_true(tls_has_certificate(s->tls));
        issued_done(&ca);
        json_decref(wrong);
        json_decref(empty);
}

/* A ticket of a client whose authority was replaced leads to a full handshake, and there it is refused. */
static void a_ticket_is_no_way_past_the_new_authority(void **state)
{
        struct scene *s = *state;
        struct issued ca = issue("CA", NULL, -HOUR, HOUR), other = issue("other", NULL, -HOUR, HOUR),
                      mine = issue("me", &ca, -HOUR, HOUR);
        struct talk t;

        swap_to(s->tls, "one");
        require(s, &ca);
        assert_true(talks_with(s, &mine));
        assert_non_null(s->session);
        require(s, &other);
        talk_begin(s, &t);
        SSL_set_session(t.client, s->session);
        assert_false(handshake(s, &t) && exchange_bytes(s, &t));
        talk_end(&t);
        issued_done(&ca);
        issued_done(&other);
        issued_done(&mine);
}

static void connections_under_a_replaced_certificate_end_some_time_after(void **state)
{
        struct scene *s = *state;
        struct issued ca = issue("CA", NULL, -HOUR, HOUR);
        uint64_t first, second;

        swap_to(s->tls, "one");
        first = tls_generation(s->tls);
        assert_false(tls_is_over(s->tls, first, 0));
        swap_to(s->tls, "two");
        second = tls_generation(s->tls);
        assert_false(tls_is_over(s->tls, first, 0)); /* not at once */
        assert_false(tls_is_over(s->tls, second, 0));
        swap_to(s->tls, "three");
        assert_true(tls_is_over(s->tls, first, 0)); /* at the second swap for certain */
        assert_false(tls_is_over(s->tls, second, 0));
        require(s, &ca);
        assert_true(tls_is_over(s->tls, tls_generation(s->tls) - 1, 0)); /* whom nobody may trust any more: at once */
        issued_done(&ca);
}

static void renegotiation_is_refused(void **state)
{
        struct scene *s = *state;
        struct talk t;

        swap_to(s->tls, "one");
        SSL_CTX_set_max_proto_version(s->client_ctx, TLS1_2_VERSION);
        talk_begin(s, &t);
        assert_true(handshake(s, &t));
        assert_true(exchange_bytes(s, &t));
        assert_int_equal(SSL_renegotiate(t.client), 1);
        for (int i = 0; i < 100 && SSL_do_handshake(t.client) != 1; i++)
                turn(s);
        assert_int_equal(SSL_num_renegotiations(t.client), 1); /* begun ... */
        assert_false(SSL_is_init_finished(t.client));          /* ... and never done */
        talk_end(&t);
}

static void a_name_is_not_needed_and_an_unknown_one_is_served(void **state)
{
        static char known[] = "notes.localhost", unknown[] = "who.knows.example"; /* OpenSSL's macro casts const away */
        char *const names[] = {NULL, known, unknown};
        struct scene *s = *state;

        swap_to(s->tls, "one");
        for (size_t i = 0; i < array_len(names); i++) {
                struct talk t;

                talk_begin(s, &t);
                if (names[i])
                        SSL_set_tlsext_host_name(t.client, names[i]);
                assert_true(handshake(s, &t));
                assert_shown(&t, "one");
                assert_true(exchange_bytes(s, &t));
                talk_end(&t);
        }
}

static void the_serial_number_is_told_as_vault_writes_it(void **state)
{
        struct scene *s = *state;

        assert_string_equal(tls_serial(s->tls), "");
        swap_to(s->tls, "one");
        assert_string_equal(tls_serial(s->tls), "01");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* tls_setup() came before all else in main(). */
static void what_openssl_frees_is_wiped(void **state)
{
        const unsigned seed = (unsigned)getpid() + 13;
        char *block = OPENSSL_malloc(1000);

        (void)state;
        memscan_fill(seed, block + 500);
        assert_int_equal(memscan_count(seed), 1);
        OPENSSL_free(block);
        assert_int_equal(memscan_count(seed), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(without_a_certificate_there_is_no_handshake),
                TEST(the_next_handshake_shows_the_new_certificate_and_living_connections_go_on),
                TEST(a_ticket_resumes_until_the_swap_and_not_after),
                TEST(what_cannot_be_used_leaves_the_old_certificate_in_place),
                TEST(members_that_are_missing_are_named),
                TEST(the_chain_is_sent_without_its_root),
                TEST(old_protocols_are_refused),
                TEST(alpn_knows_http_1_1_alone),
                TEST(the_end_of_the_certificate_is_known),
                TEST(a_connection_ends_with_close_notify),
                TEST(what_is_sent_at_once_and_what_waits_arrive_in_order),
                TEST(sending_to_a_peer_that_is_gone_fails),
                TEST(clients_are_asked_for_a_certificate_of_their_authority),
                TEST(without_the_authority_of_clients_there_is_no_handshake),
                TEST(a_ticket_is_no_way_past_the_new_authority),
                TEST(connections_under_a_replaced_certificate_end_some_time_after),
                TEST(renegotiation_is_refused),
                TEST(a_name_is_not_needed_and_an_unknown_one_is_served),
                TEST(the_serial_number_is_told_as_vault_writes_it),
                cmocka_unit_test(what_openssl_frees_is_wiped),
        };

        tls_setup();
        json_setup();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
