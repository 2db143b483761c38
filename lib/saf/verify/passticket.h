/* PassTickets, classic algorithm: eight characters that stand for a password once, within ten minutes (zos.md section 1). */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { PASSTICKET_MAX = 9, PASSTICKET_WINDOW = 600 };

/* @user and @appl: 1 to 8 characters A-Z 0-9 @ # $. 0 or -EINVAL. */
int passticket_make(const char *user, const char *appl, const uint8_t key[8], uint32_t when, char out[PASSTICKET_MAX]);
/* Is @ticket one of @user for @appl, made within PASSTICKET_WINDOW seconds of @now? */
bool passticket_valid(const char *user, const char *appl, const uint8_t key[8], const char *ticket, int64_t now);

/* The steps, for their vectors. */
uint16_t passticket_permute(unsigned round, uint16_t in); /* round 1..6 */
void passticket_pad(const char *user, uint8_t out[12]);
uint32_t passticket_r5(const char *user, const char *appl, const uint8_t key[8], uint32_t when);
void passticket_text(uint32_t r5, char out[PASSTICKET_MAX]);
