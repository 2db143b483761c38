/* notify: what a service manager wants to hear (sd_notify(3)), without libsystemd: it maps compression and crypto libraries into
 * processes that hold keys. */
#pragma once
#include <stdint.h>

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID and takes them out of the environment, so that no child speaks
 * for us. Call once, before the first notify_send. */
void notify_init(void);
/* Sends @text ("READY=1\nSTATUS=...") as one datagram. 1: sent; 0: nobody listens to us; -errno. */
int notify_send(const char *text);
/* The same, with a descriptor (FDSTORE=1). */
int notify_send_fd(const char *text, int fd);
/* Waits until the manager has read everything that was sent before (BARRIER=1): what a process says that ends at once is else lost.
 * 1; 0: nobody listens; -ETIMEDOUT, -errno. */
int notify_barrier(int timeout_ms);
/* How often WATCHDOG=1 is due, half of what the manager waits; 0: no watchdog for this process. */
uint64_t notify_watchdog_ms(void);
