/* pins: where ravelin-portguard leaves programs and maps, a directory a stack. */
#pragma once
#define PORT_PINS "/sys/fs/bpf/ravelin"
