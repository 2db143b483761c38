/* notify: what a service manager wants to hear (sd_notify(3)), without libsystemd: it maps compression and crypto libraries into
 * processes that hold keys. */
#pragma once
#include <stdint.h>

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID and takes them out of the environment, so that no child speaks
 * for us. Call once, before the first notify_send. */
void notify_init(void);
/* Sends @text ("READY=1\nSTATUS=...") as one datagram. 1: sent; 0: nobody listens to us; -errno. */
int notify_send(const char *text);
/* How often WATCHDOG=1 is due, half of what the manager waits; 0: no watchdog for this process. */
uint64_t notify_watchdog_ms(void);
