// SPDX-License-Identifier: Apache-2.0
#include "emit/args_priv.h"

#include <stdarg.h>
#include <stdio.h>

void emit_option(struct emit_args *args, const char *option)
{
	if (args->num == 0)
		args->num = strv_add(&args->argv, option);
}

void emit_value(struct emit_args *args, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	if (args->num < 0)
		return;
	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	args->num = strv_take(&args->argv, text);
}
