/* app/http_health.h: how notesd is doing, for machines: /healthz, /readyz, /metrics, /version, /openapi.json. */
#ifndef APP_HTTP_HEALTH_H
#define APP_HTTP_HEALTH_H

struct exchange;

void http_health_live(struct exchange *x);
void http_health_ready(struct exchange *x);
void http_health_metrics(struct exchange *x);
void http_health_version(struct exchange *x);
void http_health_openapi(struct exchange *x);

#endif
