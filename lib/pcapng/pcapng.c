#include "lib/pcapng/pcapng.h"
#include <string.h>

enum { LINKTYPE_RAW = 101, BLOCK_SECTION = 0x0a0d0d0a, BLOCK_INTERFACE = 1, BLOCK_PACKET = 6, BYTE_ORDER_MAGIC = 0x1a2b3c4d };
enum { OPT_END = 0, OPT_COMMENT = 1, SHB_APPLICATION = 4, IF_NAME = 2, IF_DESCRIPTION = 3, EPB_FLAGS = 2 };

static void bytes(struct pcapng *f, const void *data, size_t len)
{
	static const uint8_t zero[4];
	size_t pad = -len & 3;

	f->failed |= fwrite(data, 1, len, f->out) != len || fwrite(zero, 1, pad, f->out) != pad;
	f->size += len + pad;
}

static void words(struct pcapng *f, const uint32_t *v, unsigned n)
{
	bytes(f, v, n * sizeof(*v));
}

static uint32_t text_len(const char *text)
{
	size_t n = strlen(text);

	return (uint32_t)(n < PCAPNG_TEXT_MAX ? n : PCAPNG_TEXT_MAX);
}

static uint32_t text_size(const char *text)
{
	return text ? 4 + ((text_len(text) + 3) & ~3u) : 0;
}

static void option(struct pcapng *f, uint32_t code, const void *data, uint32_t len)
{
	words(f, (const uint32_t[]){code | len << 16}, 1);
	bytes(f, data, len);
}

static void text_option(struct pcapng *f, uint32_t code, const char *text)
{
	if (text)
		option(f, code, text, text_len(text));
}

static void end(struct pcapng *f, uint32_t total)
{
	words(f, (const uint32_t[]){OPT_END, total}, 2);
}

void pcapng_begin(struct pcapng *f, FILE *out, const char *application)
{
	uint32_t total = 32 + text_size(application);

	*f = (struct pcapng){.out = out};
	words(f, (const uint32_t[]){BLOCK_SECTION, total, BYTE_ORDER_MAGIC, 1, UINT32_MAX, UINT32_MAX}, 6);
	text_option(f, SHB_APPLICATION, application);
	end(f, total);
}

uint32_t pcapng_interface(struct pcapng *f, const char *name, const char *description, uint32_t snaplen)
{
	uint32_t total = 24 + text_size(name) + text_size(description);

	words(f, (const uint32_t[]){BLOCK_INTERFACE, total, LINKTYPE_RAW, snaplen}, 4);
	text_option(f, IF_NAME, name);
	text_option(f, IF_DESCRIPTION, description);
	end(f, total);
	return f->interfaces++;
}

void pcapng_packet(struct pcapng *f, const struct pcapng_packet *p)
{
	uint32_t total = 36 + ((p->kept + 3) & ~3u) + (p->direction ? 8 : 0);

	for (unsigned i = 0; i < PCAPNG_COMMENTS_MAX && p->comments[i]; i++)
		total += text_size(p->comments[i]);
	words(f, (const uint32_t[]){BLOCK_PACKET, total, p->interface, (uint32_t)(p->time_us >> 32), (uint32_t)p->time_us, p->kept, p->len}, 7);
	bytes(f, p->data, p->kept);
	for (unsigned i = 0; i < PCAPNG_COMMENTS_MAX && p->comments[i]; i++)
		text_option(f, OPT_COMMENT, p->comments[i]);
	if (p->direction)
		option(f, EPB_FLAGS, &(uint32_t){p->direction}, 4);
	end(f, total);
}

bool pcapng_flush(struct pcapng *f)
{
	f->failed |= fflush(f->out) != 0;
	return !f->failed;
}
