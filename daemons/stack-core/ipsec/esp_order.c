/* esp_order: the packets of a batch of several SAs that alternate, put in order by SA before they are protected. One addition then
 * takes the sequence numbers for all of an SA's packets, and its lines and its key are looked at once. */
#include "daemons/stack-core/ipsec/worker.h"

enum { ORDER_SAS = 64 };

/* How many SAs there are among @sas; ORDER_SAS: too many to be worth anything. @of[i]: which of them @sas[i] is. */
static unsigned distinct(struct sa *const *sas, unsigned n, uint8_t *of, uint16_t *counts)
{
	struct sa *known[ORDER_SAS];
	uint8_t slots[2 * ORDER_SAS] = {0}; /* index + 1 */
	unsigned found = 0;

	for (unsigned i = 0; i < n; i++) {
		unsigned at = (unsigned)((uintptr_t)sas[i] >> 6) * 0x9e3779b1U >> 25;
		while (slots[at] && known[slots[at] - 1] != sas[i])
			at = (at + 1) % (2 * ORDER_SAS);
		if (!slots[at]) {
			if (found == ORDER_SAS - 1)
				return ORDER_SAS;
			known[found] = sas[i];
			counts[found] = 0;
			slots[at] = (uint8_t)++found;
		}
		of[i] = (uint8_t)(slots[at] - 1);
		counts[of[i]]++;
	}
	return found;
}

bool esp_order(struct ipsec_worker *w, struct pkt **pkts, struct sa *const *sas, unsigned n)
{
	uint16_t starts[ORDER_SAS];
	uint8_t of[PKT_BATCH];
	unsigned runs = 1;

	for (unsigned i = 1; i < n; i++)
		runs += sas[i] != sas[i - 1];
	if (runs < 4)
		return false;
	unsigned found = distinct(sas, n, of, starts);
	if (found == ORDER_SAS || 2 * found > runs)
		return false;
	for (unsigned i = 0, at = 0; i < found; i++) {
		unsigned count = starts[i];
		starts[i] = (uint16_t)at;
		at += count;
	}
	for (unsigned i = 0; i < n; i++) {
		unsigned at = starts[of[i]]++;
		w->ordered[at] = pkts[i];
		w->ordered_sa[at] = sas[i];
	}
	return true;
}
