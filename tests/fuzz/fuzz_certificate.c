/* tests/fuzz/fuzz_certificate.c: whatever Vault calls a certificate, the check ends, and what it believes is sane. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/certificate.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/secret.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int r, const struct certificate_facts *facts, char *error)
{
        if (r == 0 && (facts->not_after_usec <= facts->not_before_usec || *facts->serial == '\0' ||
                       strspn(facts->serial, "0123456789abcdef:") != strlen(facts->serial)))
                abort();
        if (r != 0 && (!error || *error == '\0'))
                abort();
        mem_free(error);
}

/* Certificate, key and chain, with a NUL between them. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        cleanup_free char *text = mem_strndup((const char *)data, size);
        const char *key = "", *chain = "";
        const uint8_t *nul = memchr(data, '\0', size);
        cleanup_free char *rest = NULL;
        struct certificate_facts facts;
        struct secret *key_pem;
        char *error = NULL;
        json_t *object;
        int r = certificate_read(text, &facts, &error);

        check(r, &facts, error);
        if (nul) {
                rest = mem_strndup((const char *)nul + 1, size - (size_t)(nul - data) - 1);
                key = rest;
                nul = memchr(nul + 1, '\0', size - (size_t)(nul - data) - 1);
        }
        if (nul)
                chain = (const char *)nul + 1 < (const char *)data + size ? (const char *)nul + 1 : "";
        key_pem = secret_new_from(key, strlen(key));
        object = json_object();
        json_object_set_new(
                object, "ca_chain",
                json_pack("[o]", json_stringn(chain, *chain ? size - (size_t)((const uint8_t *)chain - data) : 0)));
        error = NULL;
        r = certificate_check(text, key_pem, object, &facts, &error);
        check(r, &facts, error);
        json_decref(object);
        secret_free(key_pem);
        return 0;
}
