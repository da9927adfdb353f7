/* app/rotation.c: brings each new version of a secret into use and tells the agent what came of it. */
#include <string.h>

#include "app/absence.h"
#include "app/config.h"
#include "app/credentials.h"
#include "app/db_secret.h"
#include "app/db_swap.h"
#include "app/rotation.h"
#include "app/tls.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "common/parse.h"

#define REJECT_AGAIN_USEC (2 * USEC_PER_SEC)
#define REREAD_MAX_USEC   (10 * USEC_PER_SEC)

enum { LOGIN, PLACE, CERTIFICATE, CLIENT_CA };

struct held {
        char *name;
        uint64_t version, in_use, acked, failed; /* failed: the version whose failure was counted last */
        uint64_t expires_usec;
        bool stale, reread;
        char *problem; /* never NULL */
};

struct rotation {
        struct loop *loop;
        struct credentials *credentials;
        struct db_swap *db;
        struct tls *tls;
        struct held held[ROTATION_SECRETS_MAX];
        size_t held_len;

        struct absence *absence;
        bool agent_connected;
        char *agent_problem;
        struct loop_timer *reject_timer;
        uint64_t rejecting; /* the login version that the database refuses; 0: none */

        struct loop_timer *reread_timer;
        void (*reread_done)(void *arg);
        void *reread_arg;
        void (*on_change)(void *arg);
        void *on_change_arg;

        struct metric *versions, *swaps, *expiries, *not_after;
};

static void set_text(char **text, const char *value)
{
        char *copy = mem_strdup(value);

        mem_free(*text);
        *text = copy;
}

/* Which of what is in use ends first, while it is the newest: of an older version no end is known any more. */
static const struct held *ends_first(const struct rotation *r)
{
        const struct held *first = NULL;

        for (size_t i = 0; i < r->held_len; i++) {
                const struct held *h = &r->held[i];

                if (h->in_use && h->in_use == h->version && h->expires_usec != USEC_NEVER &&
                    (!first || h->expires_usec < first->expires_usec))
                        first = h;
        }
        return first;
}

static void changed(struct rotation *r)
{
        const struct held *first = ends_first(r);

        absence_follow(r->absence, r->agent_connected, first ? first->name : NULL,
                       first ? first->expires_usec : USEC_NEVER);
        if (r->on_change)
                r->on_change(r->on_change_arg);
}

static struct held *find(struct rotation *r, const char *name)
{
        for (size_t i = 0; i < r->held_len; i++)
                if (strcmp(r->held[i].name, name) == 0)
                        return &r->held[i];
        return NULL;
}

static void now_in_use(struct rotation *r, struct held *h, uint64_t version)
{
        if (h->in_use != version)
                metric_inc(r->swaps, 1, h->name, "ok");
        h->in_use = version;
        metric_set(r->versions, (double)version, h->name);
}

/* A version that does not come into use is counted once, however often its state is told. */
static void not_in_use(struct rotation *r, struct held *h, const char *outcome, const char *why)
{
        if (h->failed != h->version)
                metric_inc(r->swaps, 1, h->name, outcome);
        h->failed = h->version;
        set_text(&h->problem, why);
}

/* For the log: what goes on meanwhile. */
static const char *meanwhile(const struct held *h)
{
        return h->in_use ? "what is in use stays in use" : "there is none in use";
}

/* Its content is wrong: nothing was tried, so nobody else logs it. */
static void invalid(struct rotation *r, struct held *h, const char *why)
{
        log_warn("%s: version %llu cannot be used: %s; %s", h->name, (unsigned long long)h->version, why, meanwhile(h));
        not_in_use(r, h, "invalid", why);
}

static void acknowledge(struct rotation *r, struct held *h)
{
        if (h->in_use == 0 || h->acked == h->in_use)
                return;
        h->acked = h->in_use;
        credentials_ack(r->credentials, h->name, h->in_use);
}

/* --- the database's answer --- */

static void reject(void *arg)
{
        struct rotation *r = arg;

        credentials_reject(r->credentials, r->held[LOGIN].name, r->rejecting);
        loop_timer_in(r->reject_timer, REJECT_AGAIN_USEC);
}

/* A refused login is said at once and every 2 s, while it is the newest and refused (design: credential swap). */
static void follow_denial(struct rotation *r, const struct db_swap_status *s)
{
        uint64_t denied = s->login_denied && s->offered_login == r->held[LOGIN].version ? s->offered_login : 0;

        if (denied == r->rejecting)
                return;
        r->rejecting = denied;
        loop_timer_cancel(r->reject_timer);
        if (denied)
                reject(r);
}

/* One half of the pair: what is in use, and why the newest that was offered is not. */
static void follow_half(struct rotation *r, struct held *h, uint64_t in_use, uint64_t offered, const char *outcome,
                        const struct db_swap_status *s)
{
        if (in_use != 0)
                now_in_use(r, h, in_use);
        if (s->old_closed)
                acknowledge(r, h);
        /* What never reached the database, lost or malformed, keeps the problem it has. */
        if (h->version == 0 || offered != h->version)
                return;
        if (in_use == h->version)
                set_text(&h->problem, "");
        else if (s->newest_failed && (in_use != 0 || (s->login_denied && h == &r->held[LOGIN])))
                not_in_use(r, h, outcome, s->error); /* what the database said is logged by those who asked it */
        else /* being proved: what the older one meets says nothing about it; the first pair has no older one */
                set_text(&h->problem, in_use != 0 ? "" : s->error);
}

static void on_db_change(const struct db_swap_status *s, void *arg)
{
        struct rotation *r = arg;

        follow_half(r, &r->held[LOGIN], s->login_version, s->offered_login, s->login_denied ? "denied" : "failed", s);
        follow_half(r, &r->held[PLACE], s->place_version, s->offered_place, "failed", s);
        follow_denial(r, s);
        changed(r);
}

static void follow_db(struct rotation *r)
{
        struct db_swap_status s;

        db_swap_status(r->db, &s);
        on_db_change(&s, r);
}

/* --- the agent's word --- */

static void offer_login(struct rotation *r, struct held *h, const struct credentials_version *v)
{
        cleanup_free char *error = NULL;
        struct db_login login;

        if (db_secret_login(v->data, v->version, &login, &error) < 0)
                invalid(r, h, error);
        else
                db_swap_offer_login(r->db, &login, v->again);
}

static void offer_place(struct rotation *r, struct held *h, const struct credentials_version *v)
{
        cleanup_free char *error = NULL;
        struct db_place place;

        if (db_secret_place(v->data, v->version, &place, &error) < 0)
                invalid(r, h, error);
        else
                db_swap_offer_place(r->db, &place, v->again);
}

/* The certificate, or the CA of clients: each brings a context of its own. */
static void swap_tls(struct rotation *r, struct held *h, const struct credentials_version *v)
{
        cleanup_free char *error = NULL;
        bool is_own = h == &r->held[CERTIFICATE];

        if ((is_own ? tls_swap : tls_swap_client_ca)(r->tls, v->data, &error) < 0) {
                invalid(r, h, error);
                return;
        }
        if (is_own)
                metric_set(r->not_after, (double)(tls_not_after_usec(r->tls) / USEC_PER_SEC));
        set_text(&h->problem, "");
        log_info("%s: in use: version %llu", h->name, (unsigned long long)v->version);
        now_in_use(r, h, v->version);
        acknowledge(r, h);
}

static void end_reread(struct rotation *r)
{
        void (*done)(void *arg) = r->reread_done;

        loop_timer_cancel(r->reread_timer);
        for (size_t i = 0; i < r->held_len; i++)
                r->held[i].reread = false;
        r->reread_done = NULL;
        if (done)
                done(r->reread_arg);
}

static void on_reread_late(void *arg)
{
        struct rotation *r = arg;

        log_warn("reload: the agent did not show every secret within 10 s; what comes later is still swapped in");
        end_reread(r);
}

static void reread_came(struct rotation *r, struct held *h)
{
        h->reread = false;
        for (size_t i = 0; i < r->held_len; i++)
                if (r->held[i].reread)
                        return;
        if (r->reread_done)
                end_reread(r);
}

static void on_version(const struct credentials_version *v, void *arg)
{
        struct rotation *r = arg;
        struct held *h = find(r, v->name);
        bool was_there;

        if (!h)
                return;
        was_there = h->version == v->version;
        h->version = v->version;
        h->expires_usec = v->expires_usec;
        h->stale = v->stale;
        if (v->expires_usec != USEC_NEVER)
                metric_set(r->expiries, (double)(v->expires_usec / USEC_PER_SEC), h->name);
        else
                metric_remove(r->expiries, h->name);
        if (v->data && !(was_there && !v->again)) {
                set_text(&h->problem, "");
                if (h == &r->held[LOGIN])
                        offer_login(r, h, v);
                else if (h == &r->held[PLACE])
                        offer_place(r, h, v);
                else
                        swap_tls(r, h, v);
                /* A version that was lost and is back changes nothing there: what is known of it already is asked for. */
                if (h == &r->held[LOGIN] || h == &r->held[PLACE])
                        follow_db(r);
                reread_came(r, h);
        }
        changed(r);
}

static void on_lost(const char *name, const char *reason, void *arg)
{
        struct rotation *r = arg;
        struct held *h = find(r, name);
        cleanup_free char *problem = NULL;

        if (!h)
                return;
        /* What works is kept: the database decides, and a certificate lives to its own end. */
        log_warn("%s: the agent has nothing valid any more (%s); %s", name, reason[0] ? reason : "no reason given",
                 meanwhile(h));
        problem = mem_printf("the agent has nothing valid (%s)", reason[0] ? reason : "no reason given");
        set_text(&h->problem, problem);
        h->version = 0;
        if (h == &r->held[LOGIN]) {
                r->rejecting = 0;
                loop_timer_cancel(r->reject_timer);
        }
        reread_came(r, h);
        changed(r);
}

static void on_connection(bool connected, const char *error, void *arg)
{
        struct rotation *r = arg;

        if (connected)
                log_info("agent: connected");
        else
                log_warn("agent: no connection: %s; trying again, what is in use stays in use", error);
        r->agent_connected = connected;
        set_text(&r->agent_problem, error);
        changed(r);
}

static const struct credentials_handler handler = {on_version, on_lost, on_connection};

/* --- what the header offers --- */

static void add_metrics(struct rotation *r, struct metrics *m)
{
        static const char *const outcomes[] = {"ok", "denied", "failed", "invalid"};

        r->versions = metrics_add(m, METRIC_GAUGE, "notesd_credential_version",
                                  "Version of the secret that is in use, 0 for none.", "secret", NULL);
        r->swaps = metrics_add(m, METRIC_COUNTER, "notesd_credential_swaps_total",
                               "New versions of a secret, by what came of them.", "secret,outcome", NULL);
        r->expiries = metrics_add(m, METRIC_GAUGE, "notesd_credential_expiry_timestamp_seconds",
                                  "Unix time at which the newest version ends, as the agent tells.", "secret", NULL);
        r->not_after = metrics_add(m, METRIC_GAUGE, "notesd_tls_certificate_expiry_timestamp_seconds",
                                   "Unix time at which the certificate in use ends.", "", NULL);
        metric_remove(
                r->not_after); /* until there is one: 0 would say that it ended in 1970, also where none is served */
        for (size_t i = 0; i < r->held_len; i++) {
                metric_set(r->versions, 0, r->held[i].name);
                for (size_t k = 0; k < array_len(outcomes); k++)
                        metric_inc(r->swaps, 0, r->held[i].name, outcomes[k]);
        }
}

/**
 * rotation_new() - begins to watch the secrets that the configuration names
 * @config:  names, socket and consumer; copied
 * @tls:     borrowed for the rotation's life; without an https listener its secret is not watched
 * @metrics: borrowed likewise
 *
 * Return: new.
 */
struct rotation *rotation_new(struct loop *loop, const struct app_config *config, struct tls *tls,
                              struct metrics *metrics)
{
        const char *names[ROTATION_SECRETS_MAX + 1] = {config->db_secret, config->db_info_secret};
        struct rotation *r = mem_new(sizeof(*r));

        if (app_config_has_tls(config))
                names[CERTIFICATE] = config->tls_secret;
        if (names[CERTIFICATE])
                names[CLIENT_CA] = config->client_ca_secret;
        r->loop = loop;
        r->tls = tls;
        for (; names[r->held_len]; r->held_len++) {
                struct held *h = &r->held[r->held_len];

                h->name = mem_strdup(names[r->held_len]);
                h->problem = mem_strdup("the agent gave none yet");
                h->expires_usec = USEC_NEVER;
        }
        r->agent_problem = mem_strdup("not connected yet");
        r->reject_timer = loop_timer_new(loop, reject, r);
        r->reread_timer = loop_timer_new(loop, on_reread_late, r);
        add_metrics(r, metrics);
        r->absence = absence_new(loop, metrics);
        r->db = db_swap_new(loop, metrics, on_db_change, r);
        r->credentials = credentials_new(loop, config->agent, config->consumer, names, &handler, r);
        return r;
}

/**
 * rotation_free() - takes NULL; what uses rotation_db() is freed before
 */
struct rotation *rotation_free(struct rotation *r)
{
        if (!r)
                return NULL;
        credentials_free(r->credentials);
        db_swap_free(r->db);
        absence_free(r->absence);
        loop_timer_free(r->reject_timer);
        loop_timer_free(r->reread_timer);
        for (size_t i = 0; i < r->held_len; i++) {
                mem_free(r->held[i].name);
                mem_free(r->held[i].problem);
        }
        mem_free(r->agent_problem);
        return mem_free(r);
}

/**
 * rotation_db() - the sessions that the secrets open
 */
struct db_swap *rotation_db(struct rotation *r)
{
        return r->db;
}

/**
 * rotation_status() - what is in use and what is not, for people and for /readyz
 */
void rotation_status(const struct rotation *r, struct rotation_status *ret_status)
{
        struct rotation_status s = {.secrets_len = r->held_len, .agent_connected = r->agent_connected};
        struct db_swap_status db = {0};

        db_swap_status(r->db, &db);
        for (size_t i = 0; i < r->held_len; i++) {
                const struct held *h = &r->held[i];

                s.secrets[i] = (struct rotation_secret){
                        .name = h->name,
                        .version = h->version,
                        .in_use = h->in_use,
                        .expires_usec = h->expires_usec,
                        .stale = h->stale,
                        .problem = h->problem[0] || h->in_use == h->version ? h->problem : "not proved yet",
                };
        }
        s.username = db.username ? db.username : "";
        s.has_db = db.login_version != 0 && db.place_version != 0;
        s.usable = s.has_db;
        s.serial = "";
        s.has_tls = r->held_len > CERTIFICATE;
        if (s.has_tls) {
                s.serial = tls_serial(r->tls);
                s.not_after_usec = tls_not_after_usec(r->tls);
                s.usable = s.usable && s.not_after_usec > clock_realtime_usec();
        }
        if (r->held_len > CLIENT_CA && r->held[CLIENT_CA].in_use == 0)
                s.usable = false;
        s.agent_since_usec = absence_since_usec(r->absence);
        s.agent_problem = r->agent_problem;
        *ret_status = s;
}

/**
 * rotation_reread() - SIGHUP: every secret anew from the agent, and swapped even to the same version
 * @done: called once, never before this returns; a second call takes the first one's place
 */
void rotation_reread(struct rotation *r, void (*done)(void *arg), void *arg)
{
        for (size_t i = 0; i < r->held_len; i++)
                r->held[i].reread = true;
        r->reread_done = done;
        r->reread_arg = arg;
        loop_timer_in(r->reread_timer, REREAD_MAX_USEC);
        credentials_reread(r->credentials);
}

/**
 * rotation_on_change() - one listener that is told of each change of the status
 */
void rotation_on_change(struct rotation *r, void (*fn)(void *arg), void *arg)
{
        r->on_change = fn;
        r->on_change_arg = arg;
}
