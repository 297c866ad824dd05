/* SPDX-License-Identifier: BSD-3-Clause */
/* A counter, or another word, that one thread writes and others read now and then. */
#ifndef CORE_BASE_COUNTER_H
#define CORE_BASE_COUNTER_H

/* The writer. */
#define counter_add(x, n) __atomic_store_n(&(x), (x) + (n), __ATOMIC_RELAXED)
#define counter_set(x, v) __atomic_store_n(&(x), (v), __ATOMIC_RELAXED)
/* Anybody. */
#define counter_get(x) __atomic_load_n(&(x), __ATOMIC_RELAXED)

#endif
