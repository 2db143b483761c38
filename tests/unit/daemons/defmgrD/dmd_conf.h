/* dmd.conf from a text: what defmgrD builds of it. */
#pragma once
#include "daemons/defmgrD/defmgr.h"
#include "tests/support/check_main.h"
#include "tests/support/refusals.h"

static void *build(const char *text, char error[REFUSAL_TEXT_MAX])
{
	struct conf *c = NULL;
	void *built = NULL;
	int rc = conf_parse(&dm_conf_spec, "dmd.conf", text, strlen(text), &c);
	if (!rc)
		rc = dm_conf_build(c, NULL, &built);
	(void)snprintf(error, REFUSAL_TEXT_MAX, "%s", conf_error_count(c) ? conf_error(c, 0) : "");
	ck_assert_int_eq(rc == 0, built != NULL);
	conf_free(c);
	return built;
}
