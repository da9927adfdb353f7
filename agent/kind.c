/* agent/kind.c: the words for the three kinds of secret. */
#include "agent/kind.h"

/**
 * secret_kind_text() - a kind as it stands in answers, metrics and the state
 * @kind: the kind
 *
 * Return: static text.
 */
const char *secret_kind_text(enum secret_kind kind)
{
        switch (kind) {
        case KIND_STATIC: return "static";
        case KIND_DYNAMIC: return "dynamic";
        case KIND_CERTIFICATE: return "certificate";
        }
        return "?";
}
