/* tests/unit/test_agent_reply.c: the reader of one HTTP/1.1 answer, fed in pieces of every size. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "app/agent_reply.h"
#include "common/buf.h"
#include "common/mem.h"

static void on_head(int status, void *arg)
{
        buf_printf(arg, "%d:", status);
}

static int on_body(const char *bytes, size_t len, void *arg)
{
        buf_add(arg, bytes, len);
        return 0;
}

static const struct agent_reply_handler handler = {on_head, on_body};

/* Return: what agent_reply_feed() said last, or what agent_reply_end() said where the text ended before that. */
static int feed(const char *text, size_t piece, struct buf *out)
{
        struct agent_reply *reply = agent_reply_new(&handler, out);
        size_t len = strlen(text);
        int r = 0;

        for (size_t pos = 0; pos < len && r == 0; pos += piece)
                r = agent_reply_feed(reply, text + pos, len - pos < piece ? len - pos : piece);
        if (r == 0)
                r = agent_reply_end(reply);
        agent_reply_free(reply);
        return r;
}

static void expect(const char *text, int result, const char *told)
{
        for (size_t piece = 1; piece <= strlen(text); piece++) {
                struct buf out __attribute__((cleanup(buf_done))) = BUF_INIT;

                assert_int_equal(feed(text, piece, &out), result);
                assert_string_equal(buf_text(&out), told);
        }
}

static void bodies_by_length_chunks_and_close(void **state)
{
        (void)state;
        expect("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 1, "200:hello");
        expect("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA;x=y\r\n "
               "0123\r\n567\r\n0\r\nTrailer: x\r\n\r\n",
               1, "200:hello 0123\r\n567");
        expect("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello", 1, "200:hello");
}

static void answers_without_a_body(void **state)
{
        (void)state;
        expect("HTTP/1.1 204 No Content\r\n\r\n", 1, "204:");
        expect("HTTP/1.1 304\r\n\r\n", 1, "304:");
        expect("HTTP/1.1 202 Accepted\r\ncontent-length:0\r\n\r\n", 1, "202:");
}

static void interim_answers_are_passed_over(void **state)
{
        (void)state;
        expect("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 409 Conflict\r\nContent-Length: 0\r\n\r\n", 1, "409:");
}

static void a_cut_answer_is_no_answer(void **state)
{
        (void)state;
        expect("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", -ECONNRESET, "200:hell");
        expect("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", -ECONNRESET, "200:hello");
        expect("HTTP/1.1 200 OK\r\n", -ECONNRESET, "");
}

static void what_is_no_http_is_refused(void **state)
{
        static const char *const wrong[] = {
                "SSH-2.0-OpenSSH\r\n",
                "HTTP/1.1 2x0 OK\r\n",
                "HTTP/1.1 099 OK\r\n",
                "HTTP/1.1 2000 OK\r\n",
                "HTTP/1.1 200 OK\r\nno colon\r\n",
                "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n",
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
                "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        };
        static const char *const chunks[] = {
                "\r\n", "x\r\n", "-1\r\n", "+1\r\n", "\x10\r\n", "fffffffffffffffff\r\n", "1\r\nab\r\n"};

        (void)state;
        for (size_t i = 0; i < array_len(wrong); i++)
                expect(wrong[i], -EPROTO, "");
        for (size_t i = 0; i < array_len(chunks); i++) {
                struct buf out __attribute__((cleanup(buf_done))) = BUF_INIT;
                cleanup_free char *text =
                        mem_printf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%s", chunks[i]);

                assert_int_equal(feed(text, 4096, &out), -EPROTO);
        }
}

static void a_head_without_end_is_refused(void **state)
{
        struct buf out __attribute__((cleanup(buf_done))) = BUF_INIT,
                       text __attribute__((cleanup(buf_done))) = BUF_INIT;

        (void)state;
        buf_str(&text, "HTTP/1.1 200 OK\r\n");
        for (int i = 0; i < 1000; i++)
                buf_printf(&text, "X-Field-%d: some value of some length\r\n", i);
        assert_int_equal(feed(text.data, 1000, &out), -EMSGSIZE);
        buf_reset(&text);
        buf_str(&text, "HTTP/1.1 200 OK\r\nX: ");
        for (int i = 0; i < 1000; i++)
                buf_str(&text, "0123456789");
        assert_int_equal(feed(text.data, 1000, &out), -EMSGSIZE);
}

static int refuse_body(const char *bytes, size_t len, void *arg)
{
        (void)bytes;
        (void)len;
        (void)arg;
        return -E2BIG;
}

static void the_receivers_no_is_passed_on(void **state)
{
        static const struct agent_reply_handler refusing = {on_head, refuse_body};
        static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        struct buf out __attribute__((cleanup(buf_done))) = BUF_INIT;
        struct agent_reply *reply = agent_reply_new(&refusing, &out);

        (void)state;
        assert_int_equal(agent_reply_feed(reply, text, strlen(text)), -E2BIG);
        agent_reply_free(reply);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(bodies_by_length_chunks_and_close), cmocka_unit_test(answers_without_a_body),
                cmocka_unit_test(interim_answers_are_passed_over),   cmocka_unit_test(a_cut_answer_is_no_answer),
                cmocka_unit_test(what_is_no_http_is_refused),        cmocka_unit_test(a_head_without_end_is_refused),
                cmocka_unit_test(the_receivers_no_is_passed_on),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
