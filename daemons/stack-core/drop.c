/* Names of the drop reasons, from the list in drop.h. */
#include "daemons/stack-core/drop.h"

struct drop_text {
	const char *name, *stage, *help;
};

static const struct drop_text texts[DROP_MAX] = {
	[DROP_NONE] = {"NONE", "none", "not dropped"},
#define DROP_TEXT(name, stage, help) [DROP_##name] = {#name, stage, help},
	DROP_REASONS(DROP_TEXT)
#undef DROP_TEXT
};

static const struct drop_text *text_of(unsigned reason)
{
	return &texts[reason < DROP_MAX ? reason : DROP_NONE];
}

const char *drop_name(unsigned reason)
{
	return text_of(reason)->name;
}

const char *drop_stage(unsigned reason)
{
	return text_of(reason)->stage;
}

const char *drop_help(unsigned reason)
{
	return text_of(reason)->help;
}
