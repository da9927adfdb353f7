/* common/metrics_text.c: the pieces of Prometheus text, format 0.0.4. */
#include "common/metrics_text.h"

#include "common/buf.h"
#include "common/parse.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Line breaks and backslashes are escaped, quotes in label values alone. What is no UTF-8 would spoil the whole page. */
static void add_escaped(struct buf *out, const char *text, bool quotes)
{
        size_t len = strlen(text);

        for (size_t i = 0, used; i < len; i += used ? used : 1) {
                used = parse_utf8_one(text + i, len - i);
                if (used == 0)
                        buf_str(out, "\xef\xbf\xbd");
                else if (text[i] == '\\')
                        buf_str(out, "\\\\");
                else if (text[i] == '\n')
                        buf_str(out, "\\n");
                else if (text[i] == '"' && quotes)
                        buf_str(out, "\\\"");
                else
                        buf_add(out, text + i, used);
        }
}

/**
 * metrics_text_head() - the two lines above a family
 * @out: gets them appended
 * @name: the family's name
 * @help: what it tells
 * @type: "counter", "gauge" or "histogram"
 */
void metrics_text_head(struct buf *out, const char *name, const char *help, const char *type)
{
        buf_printf(out, "# HELP %s ", name);
        add_escaped(out, help, false);
        buf_printf(out, "\n# TYPE %s %s\n", name, type);
}

/**
 * metrics_text_label() - one label
 * @out: gets it appended
 * @name: label
 * @value: escaped
 */
void metrics_text_label(struct buf *out, const char *name, const char *value)
{
        buf_str(out, name);
        buf_str(out, "=\"");
        add_escaped(out, value, true);
        buf_char(out, '"');
}

/**
 * metrics_text_value() - a number
 * @out: gets it appended
 * @value: number; whole ones without a fraction or exponent as long as they are exact
 */
void metrics_text_value(struct buf *out, double value)
{
        char text[32];

        if (isnan(value)) {
                buf_str(out, "NaN");
                return;
        }
        if (isinf(value)) {
                buf_str(out, value > 0 ? "+Inf" : "-Inf");
                return;
        }
        if (fabs(value) < 0x1p53 && value == (double)(long long)value) {
                buf_printf(out, "%lld", (long long)value);
                return;
        }
        for (int digits = 15; digits <= 17; digits++) {
                snprintf(text, sizeof(text), "%.*g", digits, value);
                if (strtod(text, NULL) == value)
                        break;
        }
        buf_str(out, text);
}
