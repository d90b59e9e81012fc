/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Included before every source by tools/lint. clang's analyzer sees one file at a time: without
 * this it does not know that these return a number below 0, and follows ways that no run takes,
 * where a caller goes on with what an output parameter was never given.
 */
#ifndef ANALYZER_H
#define ANALYZER_H

#include "base/err.h"

#define err_set(err, num, ...) ((void)(err_set)(err, num, __VA_ARGS__), (num))
#define err_coded(err, code, num, ...) ((void)(err_coded)(err, code, num, __VA_ARGS__), (num))
#define err_num(err, num, ...) ((void)(err_num)(err, num, __VA_ARGS__), (num))
#define err_wrap(err, num, ...) ((void)(err_wrap)(err, num, __VA_ARGS__), (num))
#define err_recode(err, num, code) ((void)(err_recode)(err, num, code), (num))
#define err_sys(err, ...) ((void)(err_sys)(err, __VA_ARGS__), -5)

#endif
