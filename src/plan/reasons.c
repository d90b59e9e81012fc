// SPDX-License-Identifier: Apache-2.0
#include "plan/reasons.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void plan_reasons_add(struct plan_reasons *reasons, enum err_code code, const char *fmt, ...)
{
	struct plan_reason *reason = &reasons->at[reasons->count];
	va_list ap;

	if (reasons->count == PLAN_REASONS_MAX)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(reason->text, sizeof(reason->text), fmt, ap);
	va_end(ap);
	reason->code = code;
	for (size_t i = 0; i < reasons->count; i++)
		if (strcmp(reasons->at[i].text, reason->text) == 0)
			return;
	reasons->count++;
}

int plan_reasons_err(const struct plan_reasons *reasons, struct err *err)
{
	const struct plan_reason *first = &reasons->at[0];

	if (reasons->count == 0)
		return 0;
	if (reasons->count == 1)
		return err_coded(err, first->code, -ENODEV, "plan the devices: %s", first->text);
	return err_coded(err, first->code, -ENODEV,
			 "plan the devices: %s (and %zu more: `casemate plan` lists them)",
			 first->text, reasons->count - 1);
}
