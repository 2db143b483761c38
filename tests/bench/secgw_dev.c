/* secgw_dev: the network device over which DPDK's ipsec-secgw is measured, as it comes from its own sources: it asks each of
 * its ports for checksum offload, which none of DPDK's devices in memory has.
 *
 * Like the links of memory of bench_secgw.c, the device gives as many packets as are asked for, copies of those in a file, in turn,
 * and forgets what is sent. It does for secgw what a good card would do for it: it says what kind of packet each is and that its
 * checksum is right, and takes it on itself to fill in those of what is sent. Each second it appends how many
 * packets were sent on it to its other file.
 *
 * Loaded with EAL's -d, named with --vdev net_secgw0,packets=FILE,count=FILE; secgw.py compiles it against the sources of the binary
 * that is measured. */
#include <bus_vdev_driver.h>
#include <ethdev_driver.h>
#include <ethdev_vdev.h>
#include <rte_cycles.h>
#include <rte_kvargs.h>
#include <rte_mbuf.h>
#include <stdio.h>

enum { PACKETS = 256, PACKET_MAX = 2048, NONE_TO_GIVE = 0 };

struct device {
	struct rte_eth_dev *eth;
	struct rte_mempool *pool;
	unsigned next, n;
	uint64_t sent, wrong, told;
	FILE *count;
	struct rte_ether_addr mac;
	uint16_t len[PACKETS];
	uint32_t kind[PACKETS];
	uint8_t packets[PACKETS][PACKET_MAX];
};

static uint16_t give(void *queue, struct rte_mbuf **bufs, uint16_t n)
{
	struct device *d = queue;

	if (!d->n || rte_pktmbuf_alloc_bulk(d->pool, bufs, n))
		return NONE_TO_GIVE;
	for (uint16_t i = 0; i < n; i++) {
		unsigned at = d->next++ % d->n;
		rte_memcpy(rte_pktmbuf_mtod(bufs[i], void *), d->packets[at], d->len[at]);
		bufs[i]->data_len = d->len[at];
		bufs[i]->pkt_len = d->len[at];
		bufs[i]->port = d->eth->data->port_id;
		bufs[i]->packet_type = d->kind[at];
		bufs[i]->ol_flags = RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	}
	return n;
}

static void tell(struct device *d, uint64_t now)
{
	fprintf(d->count, "%.6f %lu\n", (double)now / (double)rte_get_tsc_hz(), (unsigned long)d->sent);
	fflush(d->count);
	d->told = now;
}

static uint16_t take(void *queue, struct rte_mbuf **bufs, uint16_t n)
{
	struct device *d = queue;
	uint64_t now = rte_rdtsc();

	d->sent += n;
	rte_pktmbuf_free_bulk(bufs, n);
	if (now - d->told >= rte_get_tsc_hz() / 4)
		tell(d, now);
	return n;
}

static int do_nothing(struct rte_eth_dev *eth)
{
	(void)eth;
	return 0;
}

static int info(struct rte_eth_dev *eth, struct rte_eth_dev_info *ret)
{
	(void)eth;
	ret->max_mac_addrs = 1;
	ret->max_rx_pktlen = UINT32_MAX;
	ret->max_rx_queues = ret->max_tx_queues = 1;
	ret->rx_offload_capa = RTE_ETH_RX_OFFLOAD_CHECKSUM;
	ret->tx_offload_capa = RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
	return 0;
}

static const uint32_t *kinds(struct rte_eth_dev *eth)
{
	static const uint32_t all[] = {RTE_PTYPE_L3_IPV4, RTE_PTYPE_L3_IPV6, RTE_PTYPE_L4_UDP, RTE_PTYPE_TUNNEL_ESP, RTE_PTYPE_UNKNOWN};

	(void)eth;
	return all;
}

static int rx_queue(struct rte_eth_dev *eth, uint16_t queue, uint16_t n, unsigned int socket, const struct rte_eth_rxconf *conf,
	struct rte_mempool *pool)
{
	struct device *d = eth->data->dev_private;

	(void)n;
	(void)socket;
	(void)conf;
	d->pool = pool;
	eth->data->rx_queues[queue] = d;
	return 0;
}

static int tx_queue(struct rte_eth_dev *eth, uint16_t queue, uint16_t n, unsigned int socket, const struct rte_eth_txconf *conf)
{
	(void)n;
	(void)socket;
	(void)conf;
	eth->data->tx_queues[queue] = eth->data->dev_private;
	return 0;
}

static int link_up(struct rte_eth_dev *eth, int wait)
{
	(void)wait;
	eth->data->dev_link = (struct rte_eth_link){.link_speed = RTE_ETH_SPEED_NUM_100G, .link_duplex = 1, .link_status = RTE_ETH_LINK_UP};
	return 0;
}

static int set_mtu(struct rte_eth_dev *eth, uint16_t mtu)
{
	(void)eth;
	(void)mtu;
	return 0;
}

static const struct eth_dev_ops ops = {
	.dev_configure = do_nothing,
	.dev_start = do_nothing,
	.dev_stop = do_nothing,
	.dev_close = do_nothing,
	.dev_infos_get = info,
	.dev_supported_ptypes_get = kinds,
	.rx_queue_setup = rx_queue,
	.tx_queue_setup = tx_queue,
	.link_update = link_up,
	.mtu_set = set_mtu,
	.promiscuous_enable = do_nothing,
};

/* Packets of one length, each an IPv4 packet, which gets an Ethernet header: @text is FILE or LENGTH:FILE. */
static int read_packets(struct device *d, const char *text)
{
	unsigned len;
	char path[256];

	if (sscanf(text, "%u:%255s", &len, path) != 2 || len < 28 || len > PACKET_MAX - RTE_ETHER_HDR_LEN)
		return -1;
	FILE *f = fopen(path, "rb");
	if (!f)
		return -1;
	for (; d->n < PACKETS; d->n++) {
		uint8_t *p = d->packets[d->n];
		memcpy(p, "\2\0\0\0\0\1\2\0\0\0\0\2\x08\0", RTE_ETHER_HDR_LEN);
		if (fread(p + RTE_ETHER_HDR_LEN, 1, len, f) != len)
			break;
		d->len[d->n] = (uint16_t)(len + RTE_ETHER_HDR_LEN);
		d->kind[d->n] = RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV4 |
				(p[RTE_ETHER_HDR_LEN + 9] == IPPROTO_ESP ? RTE_PTYPE_TUNNEL_ESP : RTE_PTYPE_L4_UDP);
	}
	fclose(f);
	return d->n ? 0 : -1;
}

static int packets_arg(const char *key, const char *value, void *device)
{
	(void)key;
	return read_packets(device, value);
}

static int count_arg(const char *key, const char *value, void *device)
{
	struct device *d = device;

	(void)key;
	d->count = fopen(value, "w");
	return d->count ? 0 : -1;
}

static int probe(struct rte_vdev_device *vdev)
{
	struct rte_kvargs *args = rte_kvargs_parse(rte_vdev_device_args(vdev), NULL);
	struct rte_eth_dev *eth = rte_eth_vdev_allocate(vdev, sizeof(struct device));

	if (!eth || !args)
		return -1;
	struct device *d = eth->data->dev_private;
	d->eth = eth;
	d->mac = (struct rte_ether_addr){{2, 0, 0, 0, 0, 1}};
	if (rte_kvargs_process(args, "packets", packets_arg, d) || rte_kvargs_process(args, "count", count_arg, d) || !d->count)
		return -1;
	rte_kvargs_free(args);
	eth->data->mac_addrs = &d->mac;
	eth->data->nb_rx_queues = eth->data->nb_tx_queues = 1;
	(void)link_up(eth, 0);
	eth->dev_ops = &ops;
	eth->rx_pkt_burst = give;
	eth->tx_pkt_burst = take;
	rte_eth_dev_probing_finish(eth);
	return 0;
}

static struct rte_vdev_driver driver = {.probe = probe};
RTE_PMD_REGISTER_VDEV(net_secgw, driver);
