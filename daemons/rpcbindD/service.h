/* service: names of programs, from /etc/rpc as it was when the daemon first looked (rpc(5)). */
#pragma once
#include <stdint.h>

const char *service_name(uint32_t prog); /* NULL: has none */
