/* common/http_client_model.h: what all calls of one http_client have in common. For http_client.c alone. */
#ifndef COMMON_HTTP_CLIENT_MODEL_H
#define COMMON_HTTP_CLIENT_MODEL_H

#include <curl/curl.h>

struct http_client_config;

struct http_client_model {
        CURL *easy; /* copied for each call */
        struct curl_slist *connect_to;
        char *address; /* as people know it */
        char *base;    /* what a request's path is appended to */
        char *host;    /* "Host: ..." where the URL carries the TLS server name instead; else NULL */
};

/* NULL, or a new text that says what is wrong; http_client_model_done() it either way. */
char *http_client_model_make(struct http_client_model *m, const struct http_client_config *config);
void http_client_model_done(struct http_client_model *m);

#endif
