/* tests/fuzz/fuzz_vault_reply.c: no answer, whatever is in it, breaks the reading of replies or the promises about what it fills in. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/vault_api.h"
#include "common/http_client.h"
#include "common/parse.h"
#include "common/secret.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int holds)
{
        if (!holds)
                abort();
}

static void check_text(const struct vault_reply *r)
{
        size_t len = strlen(r->error);

        must(len <= 300);
        must((len == 0) == (r->outcome == VAULT_OK));
        for (size_t i = 0; i < len; i++)
                must((unsigned char)r->error[i] >= 0x20 && r->error[i] != 0x7f);
}

static void check_content(enum vault_op op, const struct vault_reply *r)
{
        const uint64_t most = UINT64_C(10) * 366 * 86400 * USEC_PER_SEC;

        must(r->lease_usec <= most && r->auth.ttl_usec <= most && r->token.ttl_usec <= most);
        must(r->lease_id && r->mount_type);
        if (r->outcome != VAULT_OK) {
                must(!r->data && !r->auth.token);
                return;
        }
        if (op == VAULT_READ || op == VAULT_ISSUE || op == VAULT_UNWRAP)
                must(json_is_object(r->data));
        if (op == VAULT_READ && *r->lease_id)
                must(r->lease_usec > 0);
        if (op == VAULT_LOGIN)
                must(secret_len(r->auth.token) > 0 && !strpbrk(secret_bytes(r->auth.token), "\r\n "));
        if (op == VAULT_WRAP_LOOKUP)
                must(r->creation_path && *r->creation_path);
}

/* The first byte is the operation, the second the status; the rest is the body. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const long statuses[] = {200, 202, 204, 307, 400, 403, 404, 412, 429, 472, 473, 500, 501, 503};
        struct http_client_reply http = {.error_text = "", .content_type = "application/json", .location = ""};
        struct secret *body;
        struct vault_reply r;
        enum vault_op op;

        if (size < 2)
                return 0;
        op = (enum vault_op)(data[0] % VAULT_OPS);
        http.status = statuses[data[1] % (sizeof(statuses) / sizeof(statuses[0]))];
        body = secret_new_from(data + 2, size - 2);
        http.body = body;
        vault_reply_read(op, &http, &r);
        check_text(&r);
        check_content(op, &r);
        vault_reply_done(&r);
        secret_free(body);
        return 0;
}
