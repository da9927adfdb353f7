/* tests/unit/test_rotation.c: what happens to a version between the agent and the database, and what the agent is told. */
#define credentials_new     agent_new
#define credentials_free    agent_free
#define credentials_reread  agent_reread
#define credentials_ack     agent_ack
#define credentials_reject  agent_reject
#define db_swap_new         base_new
#define db_swap_free        base_free
#define db_swap_offer_login base_offer_login
#define db_swap_offer_place base_offer_place
#define db_swap_status      base_status
#define tls_swap            cert_swap
#define tls_not_after_usec  cert_not_after_usec
#define tls_swap_client_ca  cert_swap_client_ca
#define tls_serial          cert_serial

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "app/absence.c"  /* NOLINT */
#include "app/rotation.c" /* NOLINT: the names above give it an agent, a database and a certificate made up here */
#include "common/buf.h"
#include "common/secret.h"

#define HOUR_USEC (3600 * USEC_PER_SEC)

static struct scene {
        struct loop *loop;
        struct metrics *metrics;
        struct rotation *rotation;
        struct buf did; /* what the rotation did, in order */
        const struct credentials_handler *agent;
        void *agent_arg;
        db_swap_fn on_db;
        void *db_arg;
        struct db_swap_status db;
        bool cert_is_bad;
        uint64_t cert_end_usec;
        unsigned changes, rereads;
        struct loop_timer *stop;
} scene;

/* --- the agent --- */

struct credentials *credentials_new(struct loop *loop, const char *socket_path, const char *consumer,
                                    const char *const *names, const struct credentials_handler *agent_handler,
                                    void *arg)
{
        (void)loop;
        buf_printf(&scene.did, "watch %s %s:", socket_path, consumer);
        for (; *names; names++)
                buf_printf(&scene.did, " %s", *names);
        buf_char(&scene.did, ';');
        scene.agent = agent_handler;
        scene.agent_arg = arg;
        return NULL;
}

struct credentials *credentials_free(struct credentials *c)
{
        return c;
}

void credentials_reread(struct credentials *c)
{
        (void)c;
        buf_str(&scene.did, "reread;");
}

void credentials_ack(struct credentials *c, const char *name, uint64_t version)
{
        (void)c;
        buf_printf(&scene.did, "ack %s %llu;", name, (unsigned long long)version);
}

void credentials_reject(struct credentials *c, const char *name, uint64_t version)
{
        (void)c;
        buf_printf(&scene.did, "reject %s %llu;", name, (unsigned long long)version);
}

/* --- the database --- */

struct db_swap *db_swap_new(struct loop *loop, struct metrics *metrics, db_swap_fn on_change, void *arg)
{
        (void)loop;
        (void)metrics;
        scene.on_db = on_change;
        scene.db_arg = arg;
        return NULL;
}

struct db_swap *db_swap_free(struct db_swap *s)
{
        return s;
}

void db_swap_offer_login(struct db_swap *s, struct db_login *login, bool again)
{
        (void)s;
        buf_printf(&scene.did, "login %llu %s%s;", (unsigned long long)login->version, secret_bytes(login->username),
                   again ? " again" : "");
        if (scene.db.offered_login != login->version) {
                scene.db.login_denied = scene.db.newest_failed = false;
                scene.db.error = "";
        }
        scene.db.offered_login = login->version;
        secret_free(login->username);
        secret_free(login->password);
}

void db_swap_offer_place(struct db_swap *s, struct db_place *place, bool again)
{
        (void)s;
        buf_printf(&scene.did, "place %llu %s%s;", (unsigned long long)place->version, place->host,
                   again ? " again" : "");
        scene.db.offered_place = place->version;
        mem_free(place->host);
        mem_free(place->database);
}

void db_swap_status(const struct db_swap *s, struct db_swap_status *ret_status)
{
        (void)s;
        *ret_status = scene.db;
}

/* --- the certificate --- */

int tls_swap(struct tls *t, const json_t *data, char **ret_error)
{
        (void)t;
        (void)data;
        if (scene.cert_is_bad) {
                *ret_error = mem_strdup("does not fit");
                return -EINVAL;
        }
        buf_str(&scene.did, "certificate;");
        scene.cert_end_usec = clock_realtime_usec() + HOUR_USEC;
        return 0;
}

int tls_swap_client_ca(struct tls *t, const json_t *data, char **ret_error)
{
        (void)t;
        if (!json_str(data, "ca_cert")) {
                *ret_error = mem_strdup("no CA");
                return -EINVAL;
        }
        buf_str(&scene.did, "client CA;");
        return 0;
}

const char *tls_serial(const struct tls *t)
{
        (void)t;
        return "0a";
}

uint64_t tls_not_after_usec(const struct tls *t)
{
        (void)t;
        return scene.cert_end_usec;
}

/* --- what a test says --- */

static void gives(const char *name, uint64_t version, const char *data, bool again)
{
        char error[160];
        cleanup_json json_t *json = data ? json_read(data, strlen(data), error, sizeof(error)) : NULL;
        const struct credentials_version v = {name, version, USEC_NEVER, false, json, again};

        scene.agent->on_version(&v, scene.agent_arg);
}

static void gives_login(uint64_t version)
{
        gives("db", version, "{\"username\":\"u\",\"password\":\"p\"}", false);
}

static void gives_place(uint64_t version)
{
        gives("dbinfo", version, "{\"host\":\"h\",\"database\":\"d\"}", false);
}

static void db_says(uint64_t login, uint64_t place, bool old_closed, bool denied, const char *error)
{
        scene.db.login_version = login;
        scene.db.place_version = place;
        scene.db.old_closed = old_closed;
        scene.db.login_denied = denied;
        scene.db.newest_failed = error[0] != '\0';
        scene.db.error = error;
        scene.on_db(&scene.db, scene.db_arg);
}

static void assert_did(const char *what)
{
        assert_string_equal(buf_text(&scene.did), what);
        buf_reset(&scene.did);
}

static struct rotation_status status(void)
{
        struct rotation_status s;

        rotation_status(scene.rotation, &s);
        return s;
}

static void assert_metric(const char *line)
{
        struct buf out __attribute__((cleanup(buf_done))) = BUF_INIT;

        metrics_write(scene.metrics, &out);
        if (!strstr(out.data, line))
                fail_msg("no \"%s\" in %s", line, out.data);
}

static void on_changed(void *arg)
{
        (void)arg;
        scene.changes++;
}

static int set_up_for(bool with_tls, char *ca)
{
        char listen[] = "https://127.0.0.1:1", http[] = "http://127.0.0.1:1";
        char *argv[] = {listen, http};
        struct app_listen listens[] = {{argv[0], true}, {argv[1], false}};
        char agent[] = "/agent.sock", db[] = "db", info[] = "dbinfo", tls[] = "tls", me[] = "me";
        const struct app_config config = {
                .listens = with_tls ? listens : listens + 1,
                .listens_len = 1,
                .agent = agent,
                .db_secret = db,
                .db_info_secret = info,
                .tls_secret = tls,
                .client_ca_secret = ca,
                .consumer = me,
        };

        memset(&scene, 0, sizeof(scene));
        scene.db.error = scene.db.username = "";
        scene.loop = loop_new();
        scene.metrics = metrics_new();
        scene.rotation = rotation_new(scene.loop, &config, NULL, scene.metrics);
        rotation_on_change(scene.rotation, on_changed, NULL);
        return 0;
}

static int set_up_with(bool with_tls)
{
        return set_up_for(with_tls, NULL);
}

static int set_up(void **state)
{
        (void)state;
        set_up_with(true);
        buf_reset(&scene.did);
        return 0;
}

static int tear_down(void **state)
{
        (void)state;
        loop_timer_free(scene.stop);
        rotation_free(scene.rotation);
        metrics_free(scene.metrics);
        loop_free(scene.loop);
        buf_done(&scene.did);
        return 0;
}

/* --- the tests --- */

static void the_certificate_is_watched_only_where_one_is_served(void **state)
{
        set_up_with(false);
        assert_did("watch /agent.sock me: db dbinfo;");
        tear_down(state);
        set_up_with(true);
        assert_did("watch /agent.sock me: db dbinfo tls;");
        tear_down(state);
}

static void a_version_is_acknowledged_when_it_is_in_use_and_the_old_one_is_closed(void **state)
{
        (void)state;
        gives_login(7);
        gives_place(1);
        assert_did("login 7 u;place 1 h;");
        db_says(7, 1, true, false, "");
        assert_did("ack db 7;ack dbinfo 1;");
        gives_login(8);
        assert_did("login 8 u;");
        db_says(8, 1, false, false, "");
        assert_did("");
        db_says(8, 1, true, false, "");
        assert_did("ack db 8;");
        db_says(8, 1, true, false, "");
        assert_did("");
        assert_metric("notesd_credential_version{secret=\"db\"} 8\n");
        assert_metric("notesd_credential_swaps_total{secret=\"db\",outcome=\"ok\"} 2\n");
        assert_true(scene.changes > 0);
}

static void the_half_of_a_pair_that_works_is_acknowledged_and_the_other_named(void **state)
{
        (void)state;
        gives_login(7);
        gives_place(1);
        db_says(7, 1, true, false, "");
        gives_login(8);
        gives_place(2);
        assert_did("login 7 u;place 1 h;ack db 7;ack dbinfo 1;login 8 u;place 2 h;");
        db_says(8, 1, true, false, "unknown database");
        assert_did("ack db 8;");
        assert_string_equal(status().secrets[0].problem, "");
        assert_string_equal(status().secrets[1].problem, "unknown database");
        assert_true(status().secrets[1].in_use == 1 && status().secrets[1].version == 2);
        assert_true(status().usable == false); /* no certificate yet */
        assert_metric("notesd_credential_swaps_total{secret=\"dbinfo\",outcome=\"failed\"} 1\n");
        db_says(8, 1, true, false, "still unknown");
        assert_metric("notesd_credential_swaps_total{secret=\"dbinfo\",outcome=\"failed\"} 1\n");
}

static void on_stop(void *arg)
{
        (void)arg;
        loop_stop(scene.loop);
}

static void turn_for(uint64_t usec)
{
        if (!scene.stop)
                scene.stop = loop_timer_new(scene.loop, on_stop, NULL);
        loop_timer_in(scene.stop, usec);
        assert_int_equal(loop_run(scene.loop), 0);
}

static void a_refused_login_is_rejected_at_once_and_every_2_s_while_it_is_refused(void **state)
{
        (void)state;
        gives_login(7);
        gives_place(1);
        db_says(7, 1, true, false, "");
        gives_login(8);
        buf_reset(&scene.did);
        db_says(7, 1, true, true, "denied");
        db_says(7, 1, true, true, "denied");
        assert_did("reject db 8;");
        assert_metric("notesd_credential_swaps_total{secret=\"db\",outcome=\"denied\"} 1\n");
        turn_for(REJECT_AGAIN_USEC + REJECT_AGAIN_USEC / 4);
        assert_did("reject db 8;");
        gives_login(9);
        assert_did("login 9 u;");
        db_says(9, 1, true, false, "");
        assert_did("ack db 9;");
        turn_for(REJECT_AGAIN_USEC + REJECT_AGAIN_USEC / 4);
        assert_did("");
        assert_true(loop_timer_due(scene.rotation->reject_timer) == USEC_NEVER);
}

/* The old login is cut off and the new one is still being dialled: what the old one meets is not the new one's failure. */
static void a_version_has_not_failed_while_it_is_being_proved(void **state)
{
        (void)state;
        gives_login(7);
        gives_place(1);
        db_says(7, 1, true, false, "");
        gives_login(8);
        scene.db.error = "1045: access denied";
        scene.on_db(&scene.db, scene.db_arg);
        assert_string_equal(status().secrets[0].problem, "not proved yet");
        db_says(8, 1, true, false, "");
        assert_metric("notesd_credential_swaps_total{secret=\"db\",outcome=\"failed\"} 0\n");
        assert_metric("notesd_credential_swaps_total{secret=\"db\",outcome=\"ok\"} 2\n");
}

static void a_refused_login_that_was_lost_and_is_back_is_rejected_again(void **state)
{
        (void)state;
        gives_login(7);
        gives_place(1);
        db_says(7, 1, true, false, "");
        gives_login(8);
        db_says(7, 1, true, true, "denied");
        scene.agent->on_lost("db", "lease gone", scene.agent_arg);
        assert_true(loop_timer_due(scene.rotation->reject_timer) == USEC_NEVER);
        buf_reset(&scene.did);
        gives_login(8);
        assert_did("login 8 u;reject db 8;");
        assert_string_equal(status().secrets[0].problem, "denied");
}

static void a_certificate_is_acknowledged_after_the_swap_and_a_bad_one_is_not(void **state)
{
        (void)state;
        gives("tls", 3, "{}", false);
        assert_did("certificate;ack tls 3;");
        scene.cert_is_bad = true;
        gives("tls", 4, "{}", false);
        assert_did("");
        assert_string_equal(status().secrets[2].problem, "does not fit");
        assert_true(status().secrets[2].in_use == 3);
        assert_metric("notesd_credential_swaps_total{secret=\"tls\",outcome=\"invalid\"} 1\n");
        scene.cert_is_bad = false;
        gives("tls", 5, "{}", false);
        assert_did("certificate;ack tls 5;");
        assert_string_equal(status().secrets[2].problem, "");
}

static void usable_needs_the_pair_and_a_living_certificate(void **state)
{
        (void)state;
        gives_login(7);
        gives_place(1);
        assert_false(status().has_db);
        db_says(7, 1, true, false, "");
        assert_true(status().has_db);
        assert_false(status().usable);
        gives("tls", 3, "{}", false);
        assert_true(status().usable);
        scene.cert_end_usec = clock_realtime_usec() - 1;
        assert_false(status().usable);
}

/* 0 would be an end in 1970: an alarm where plain HTTP alone is served. */
static void no_certificate_has_no_end(void **state)
{
        struct buf out __attribute__((cleanup(buf_done))) = BUF_INIT;

        (void)state;
        metrics_write(scene.metrics, &out);
        assert_null(strstr(out.data, "notesd_tls_certificate_expiry_timestamp_seconds"));
        gives("tls", 3, "{}", false);
        assert_metric("\nnotesd_tls_certificate_expiry_timestamp_seconds ");
}

static void malformed_content_is_named_and_never_offered(void **state)
{
        (void)state;
        gives("db", 7, "{\"username\":\"u\"}", false);
        gives("dbinfo", 1, "{\"host\":\"h\"}", false);
        assert_did("");
        assert_non_null(strstr(status().secrets[0].problem, "password"));
        assert_non_null(strstr(status().secrets[1].problem, "database"));
        /* What the database says of earlier ones does not hide it. */
        db_says(0, 0, false, false, "no database login was given yet");
        assert_non_null(strstr(status().secrets[0].problem, "password"));
        assert_metric("notesd_credential_swaps_total{secret=\"db\",outcome=\"invalid\"} 1\n");
}

static void the_same_version_is_offered_again_only_where_it_is_read_again(void **state)
{
        (void)state;
        gives_login(7);
        gives_login(7);
        assert_did("login 7 u;");
        gives("db", 7, NULL, false);
        assert_did("");
        gives("db", 7, "{\"username\":\"u\",\"password\":\"p\"}", true);
        assert_did("login 7 u again;");
}

static void a_loss_is_named_and_what_works_is_kept(void **state)
{
        (void)state;
        gives_login(7);
        gives_place(1);
        db_says(7, 1, true, false, "");
        buf_reset(&scene.did);
        scene.agent->on_lost("db", "lease gone", scene.agent_arg);
        assert_did("");
        assert_non_null(strstr(status().secrets[0].problem, "lease gone"));
        assert_true(status().secrets[0].in_use == 7 && status().secrets[0].version == 0);
        assert_true(status().has_db);
        gives_login(8);
        db_says(8, 1, true, false, "");
        assert_did("login 8 u;ack db 8;");
        assert_string_equal(status().secrets[0].problem, "");
}

static void on_reread_done(void *arg)
{
        (void)arg;
        scene.rereads++;
}

static void a_reread_is_done_when_every_name_came(void **state)
{
        (void)state;
        rotation_reread(scene.rotation, on_reread_done, NULL);
        assert_did("reread;");
        gives("db", 7, "{\"username\":\"u\",\"password\":\"p\"}", true);
        gives("db", 8, NULL, false);
        scene.agent->on_lost("dbinfo", "removed", scene.agent_arg);
        assert_int_equal(scene.rereads, 0);
        gives("tls", 3, "{}", true);
        assert_int_equal(scene.rereads, 1);
        assert_true(loop_timer_due(scene.rotation->reread_timer) == USEC_NEVER);
        gives("tls", 4, "{}", false);
        assert_int_equal(scene.rereads, 1);
}

static void the_agents_absence_is_told(void **state)
{
        (void)state;
        assert_false(status().agent_connected);
        scene.agent->on_connection(true, "", scene.agent_arg);
        assert_true(status().agent_connected);
        scene.agent->on_connection(false, "no such file", scene.agent_arg);
        assert_false(status().agent_connected);
        assert_string_equal(status().agent_problem, "no such file");
}

static void clients_need_their_ca_before_it_is_usable(void **state)
{
        char ca[] = "clients";

        (void)state;
        set_up_for(true, ca);
        assert_did("watch /agent.sock me: db dbinfo tls clients;");
        gives_login(7);
        gives_place(1);
        gives("tls", 3, "{}", false);
        db_says(7, 1, true, false, "");
        assert_false(status().usable);
        buf_reset(&scene.did);
        gives("clients", 2, "{}", false);
        assert_did("");
        assert_string_equal(status().secrets[3].problem, "no CA");
        gives("clients", 3, "{\"ca_cert\":\"x\"}", false);
        assert_did("client CA;ack clients 3;");
        assert_true(status().usable);
        tear_down(state);
}

/* While the agent is away the timer stands at half of what is left of what ends first; and what works is kept. */
static void the_agents_absence_is_warned_of_at_half_of_what_is_left(void **state)
{
        struct loop_timer *timer;
        char error[160];
        cleanup_json json_t *login = json_read("{\"username\":\"u\",\"password\":\"p\"}", 33, error, sizeof(error));
        const struct credentials_version v = {"db", 7, clock_realtime_usec() + HOUR_USEC, false, login, false};

        (void)state;
        scene.agent->on_connection(true, "", scene.agent_arg);
        scene.agent->on_version(&v, scene.agent_arg);
        gives_place(1);
        db_says(7, 1, true, false, "");
        timer = scene.rotation->absence->timer;
        assert_true(loop_timer_due(timer) == USEC_NEVER);
        assert_metric("notesd_agent_connected 1\n");
        scene.agent->on_connection(false, "gone", scene.agent_arg);
        assert_metric("notesd_agent_connected 0\n");
        assert_true(loop_timer_due(timer) > clock_boottime_usec() + HOUR_USEC / 2 - 60 * USEC_PER_SEC);
        assert_true(loop_timer_due(timer) < clock_boottime_usec() + HOUR_USEC / 2 + 60 * USEC_PER_SEC);
        assert_true(status().agent_since_usec > clock_realtime_usec() - 60 * USEC_PER_SEC);
        assert_true(status().has_db);
        scene.agent->on_connection(true, "", scene.agent_arg);
        assert_true(loop_timer_due(timer) == USEC_NEVER);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_certificate_is_watched_only_where_one_is_served),
                TEST(a_version_is_acknowledged_when_it_is_in_use_and_the_old_one_is_closed),
                TEST(the_half_of_a_pair_that_works_is_acknowledged_and_the_other_named),
                TEST(a_refused_login_is_rejected_at_once_and_every_2_s_while_it_is_refused),
                TEST(a_version_has_not_failed_while_it_is_being_proved),
                TEST(a_refused_login_that_was_lost_and_is_back_is_rejected_again),
                TEST(a_certificate_is_acknowledged_after_the_swap_and_a_bad_one_is_not),
                TEST(usable_needs_the_pair_and_a_living_certificate),
                TEST(no_certificate_has_no_end),
                TEST(malformed_content_is_named_and_never_offered),
                TEST(the_same_version_is_offered_again_only_where_it_is_read_again),
                TEST(a_loss_is_named_and_what_works_is_kept),
                TEST(a_reread_is_done_when_every_name_came),
                TEST(the_agents_absence_is_told),
                cmocka_unit_test(clients_need_their_ca_before_it_is_usable),
                TEST(the_agents_absence_is_warned_of_at_half_of_what_is_left),
        };

        json_setup();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
