/* SPDX-License-Identifier: BSD-3-Clause */
/* How long simulations are where a sanitizer makes every step slow: the claims are the same, for less of the same. */
#ifndef TESTS_UNIT_SANITIZED_H
#define TESTS_UNIT_SANITIZED_H

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IF_SANITIZED(some, all) (some)
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IF_SANITIZED(some, all) (some)
#endif

#ifndef IF_SANITIZED
#define IF_SANITIZED(some, all) (all)
#endif

#endif
