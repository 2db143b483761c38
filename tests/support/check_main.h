/* The main() of every libcheck program: one suite, counted by Check itself ("100%: Checks: 2, Failures: 0, Errors: 0"). */
#pragma once
#include <check.h>
#include <stdlib.h>

#define RV_CHECK_MAIN(suite)                                                                                  \
	int main(void)                                                                                        \
	{                                                                                                     \
		SRunner *sr = srunner_create(suite);                                                          \
		srunner_run_all(sr, CK_NORMAL);                                                               \
		int failed = srunner_ntests_failed(sr);                                                       \
		srunner_free(sr);                                                                             \
		return failed ? EXIT_FAILURE : EXIT_SUCCESS;                                                  \
	}
