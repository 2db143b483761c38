/* lapi: questions to CrowdSec's local API, by libcurl's multi interface: it says which descriptors and which time it waits for, the daemon's
 * loop waits. An answer is read as it arrives and bounded; redirections, proxies of the environment and other protocols are not followed, for
 * the key goes to the configured address alone. */
#include "daemons/ravelin-bouncer/bouncer.h"
#include "lib/base/xalloc.h"
#include <curl/curl.h>

enum { CONNECT_S = 10 };

struct lapi {
	struct loop *loop;
	struct loop_timer *timer;
	const struct bouncer_conf *conf;
	const struct secret *key;
	lapi_fn fn;
	void *arg;
	CURLM *multi;
	CURL *easy; /* NULL: nothing is on its way */
	struct curl_slist *headers;
	struct decisions_reader *reader;
	uint64_t got;
	struct errbuf why;
	char curl_why[CURL_ERROR_SIZE];
};

static void finish(struct lapi *l)
{
	if (l->easy) {
		(void)curl_multi_remove_handle(l->multi, l->easy);
		curl_easy_cleanup(l->easy);
	}
	for (struct curl_slist *h = l->headers; h; h = h->next)
		secret_wipe(h->data, strlen(h->data));
	curl_slist_free_all(l->headers);
	l->easy = NULL;
	l->headers = NULL;
}

static void told(struct lapi *l, CURLcode code)
{
	long status = 0;
	struct decisions_reader *r = l->reader;
	(void)curl_easy_getinfo(l->easy, CURLINFO_RESPONSE_CODE, &status);
	finish(l);
	l->reader = NULL;
	if (code != CURLE_OK && !l->why.text[0])
		(void)err_set(&l->why, EIO, "%.200s", l->curl_why[0] ? l->curl_why : curl_easy_strerror(code));
	else if (code == CURLE_OK && status == 403)
		(void)err_set(&l->why, EACCES, "the API refuses the key (403)");
	else if (code == CURLE_OK && status != 200)
		(void)err_set(&l->why, EIO, "the API answered %ld", status);
	else if (code == CURLE_OK)
		(void)decisions_end(r, &l->why);
	l->fn(l->arg, l->why.text[0] ? NULL : decisions_of(r), l->why.text);
	decisions_reader_free(r);
}

static void look(struct lapi *l)
{
	int left;
	for (CURLMsg *m; (m = curl_multi_info_read(l->multi, &left));)
		if (m->msg == CURLMSG_DONE && m->easy_handle == l->easy)
			told(l, m->data.result);
}

static void on_fd(void *arg, int fd, unsigned events)
{
	struct lapi *l = arg;
	int running, what = (events & LOOP_READ ? CURL_CSELECT_IN : 0) | (events & LOOP_WRITE ? CURL_CSELECT_OUT : 0);
	(void)curl_multi_socket_action(l->multi, fd, what, &running);
	look(l);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *mine)
{
	struct lapi *l = arg;
	struct loop_fd *f = mine;
	unsigned events = (what & CURL_POLL_IN ? LOOP_READ : 0u) | (what & CURL_POLL_OUT ? LOOP_WRITE : 0u);
	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (f)
			loop_fd_free(f);
		(void)curl_multi_assign(l->multi, fd, NULL);
	} else if (f) {
		loop_fd_events(f, events);
	} else {
		(void)curl_multi_assign(l->multi, fd, loop_fd_new(l->loop, fd, events, on_fd, l));
	}
	return 0;
}

static void on_time(void *arg)
{
	struct lapi *l = arg;
	int running;
	(void)curl_multi_socket_action(l->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	look(l);
}

static int on_timer(CURLM *multi, long ms, void *arg)
{
	struct lapi *l = arg;
	(void)multi;
	if (ms < 0)
		loop_timer_stop(l->timer);
	else
		loop_timer_set(l->timer, (uint64_t)ms);
	return 0;
}

static size_t on_data(char *data, size_t one, size_t len, void *arg)
{
	struct lapi *l = arg;
	long status = 0;
	(void)one;
	(void)curl_easy_getinfo(l->easy, CURLINFO_RESPONSE_CODE, &status);
	l->got += len;
	if (l->got > l->conf->max_answer) {
		(void)err_set(&l->why, E2BIG, "the answer is longer than MaxAnswer, %u MiB", l->conf->max_answer >> 20);
		return 0;
	}
	if (status == 200 && decisions_feed(l->reader, data, len, &l->why))
		return 0;
	return len;
}

struct lapi *lapi_new(struct loop *loop, const struct bouncer_conf *c, const struct secret *key, lapi_fn fn, void *arg)
{
	struct lapi *l = xnew(struct lapi);
	*l = (struct lapi){.loop = loop, .conf = c, .key = key, .fn = fn, .arg = arg};
	(void)curl_global_init(CURL_GLOBAL_DEFAULT);
	l->multi = curl_multi_init();
	if (!l->multi)
		abort();
	l->timer = loop_timer_new(loop, on_time, l);
	(void)curl_multi_setopt(l->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	(void)curl_multi_setopt(l->multi, CURLMOPT_SOCKETDATA, l);
	(void)curl_multi_setopt(l->multi, CURLMOPT_TIMERFUNCTION, on_timer);
	(void)curl_multi_setopt(l->multi, CURLMOPT_TIMERDATA, l);
	return l;
}

void lapi_free(struct lapi *l)
{
	if (!l)
		return;
	finish(l);
	decisions_reader_free(l->reader);
	(void)curl_multi_cleanup(l->multi);
	loop_timer_free(l->timer);
	free(l);
}

static struct curl_slist *headers_of(const struct secret *key)
{
	char text[320];
	(void)snprintf(text, sizeof(text), "X-Api-Key: %.*s", (int)secret_len(key), (const char *)secret_data(key));
	struct curl_slist *h = curl_slist_append(NULL, text);
	secret_wipe(text, sizeof(text));
	return h;
}

void lapi_ask(struct lapi *l, bool startup)
{
	char url[URL_MAX + 64];
	if (l->easy)
		return;
	(void)snprintf(url, sizeof(url), "%s/v1/decisions/stream?startup=%s", l->conf->url, startup ? "true" : "false");
	l->easy = curl_easy_init();
	if (!l->easy)
		abort();
	l->got = 0;
	l->why.text[0] = l->curl_why[0] = 0;
	l->headers = headers_of(l->key);
	/* no more rows than an answer of that length can have, at about 64 bytes each */
	l->reader = decisions_reader_new(l->conf->max_answer / 64);
	(void)curl_easy_setopt(l->easy, CURLOPT_URL, url);
	(void)curl_easy_setopt(l->easy, CURLOPT_HTTPHEADER, l->headers);
	(void)curl_easy_setopt(l->easy, CURLOPT_USERAGENT, "ravelin-bouncer/v" RAVELIN_VERSION);
	(void)curl_easy_setopt(l->easy, CURLOPT_PROTOCOLS_STR, "http,https");
	(void)curl_easy_setopt(l->easy, CURLOPT_NOPROXY, "*");
	(void)curl_easy_setopt(l->easy, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(l->easy, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
	(void)curl_easy_setopt(l->easy, CURLOPT_TIMEOUT, (long)l->conf->timeout_s);
	(void)curl_easy_setopt(l->easy, CURLOPT_ERRORBUFFER, l->curl_why);
	(void)curl_easy_setopt(l->easy, CURLOPT_WRITEFUNCTION, on_data);
	(void)curl_easy_setopt(l->easy, CURLOPT_WRITEDATA, l);
	if (l->conf->ca_file[0])
		(void)curl_easy_setopt(l->easy, CURLOPT_CAINFO, l->conf->ca_file);
	(void)curl_multi_add_handle(l->multi, l->easy);
}
