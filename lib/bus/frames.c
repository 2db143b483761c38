#include "lib/bus/frames.h"
#include "lib/bus/bus.h"

enum { MORE = 1, LONG = 2, COMMAND = 4, INLINE_MAX = 33, FRAME_COST = 64, BUFFER_COST = 8192 };

/* Before version 3 a peer has other frames; no library of the last ten years speaks so first. */
static bool greeting_ok(unsigned at, uint8_t c)
{
	return at == 0 ? c == 0xff : at == 9 ? (c & 1) != 0 : at == 10 ? c >= 3 : true;
}

uint64_t frames_cost(uint64_t len)
{
	return FRAME_COST + (len > INLINE_MAX ? BUFFER_COST + len : 0);
}

static bool frame_begins(struct frames *f)
{
	uint64_t len = f->head[1];
	if (f->head[0] & LONG)
		for (unsigned i = 2; i < sizeof(f->head); i++)
			len = len << 8 | f->head[i];
	f->n_head = 0;
	f->body = len;
	if (len > BUS_MESSAGE_MAX)
		return false;
	if (!(f->head[0] & COMMAND))
		f->cost += frames_cost(len);
	if (f->head[0] & MORE) {
		f->parts++;
		f->bytes += len;
	} else if (!(f->head[0] & COMMAND)) { /* a command between two frames does not end the message */
		f->parts = 0;
		f->bytes = 0;
	}
	return f->parts < FRAMES_MAX && f->bytes <= FRAMES_BYTES_MAX;
}

bool frames_take(struct frames *f, const void *data, size_t len)
{
	const uint8_t *p = data, *end = p + len;
	while (p < end) {
		if (f->greeted < FRAMES_GREETING) {
			if (!greeting_ok(f->greeted++, *p++))
				return false;
		} else if (f->body) {
			size_t step = f->body < (uint64_t)(end - p) ? (size_t)f->body : (size_t)(end - p);
			p += step;
			f->body -= step;
		} else {
			f->head[f->n_head++] = *p++;
			if (f->n_head == (f->head[0] & LONG ? 9u : 2u) && !frame_begins(f))
				return false;
		}
	}
	return true;
}
