// SPDX-License-Identifier: Apache-2.0
#include "base/err.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct err_code_info codes[] = {
	{ ERR_OTHER, "other", "Something that has no code of its own.",
	  "The line itself says what was being done, to what, and what is wrong." },
	{ ERR_USAGE, "usage", "A flag, a name or a value that is not understood.",
	  "Correct it; COMMAND --help lists what there is." },
	{ ERR_CONFIG, "config", "A configuration file or key that is not understood.",
	  "The line names file, place and the nearest known key; `casemate config keys` lists "
	  "them all, `casemate config check` reads the files." },
	{ ERR_NAME_TAKEN, "name-taken", "There is a pod or container of that name already.",
	  "Take another name, or `casemate delete` the one there is." },
	{ ERR_NO_SUCH_POD, "no-such-pod", "There is no pod, or no container in it, of that name.",
	  "`casemate list` shows those there are. What a dead one left, `casemate recover` "
	  "removes." },
	{ ERR_IMAGE, "image", "The image, bundle or directory cannot be used as it is.",
	  "The line names the file and the place in it." },
	{ ERR_IMAGE_DIGEST, "image-digest",
	  "Bytes of the image are not those that its manifest names.",
	  "The image is damaged or was tampered with: fetch it again." },
	{ ERR_IMAGE_LIMIT, "image-limit", "The image is larger than the configured limits.",
	  "If it is meant to be, raise layer_max_size or layer_max_entries." },
	{ ERR_UNREADABLE, "unreadable", "A file below rootfs: or bundle: may not be read.",
	  "Make it readable for who runs casemate, or take it out of the directory." },
	{ ERR_UNSUPPORTED, "unsupported", "This is understood, and is not there yet.",
	  "Leave it out; LIMITS in casemate-run(1) says what there is instead." },
	{ ERR_HOST, "host", "This host lacks something, or refuses it.",
	  "The line names it: a file, a number of CPUs, memory, KVM." },
	{ ERR_DEVICE_NONE, "device-none", "This machine has no device at that address.",
	  "`casemate topology` lists those there are." },
	{ ERR_DEVICE_COUNT, "device-count", "There are not so many devices to be had.",
	  "`casemate topology` lists them, with who has each; ask for fewer, or with a looser "
	  "--near." },
	{ ERR_DEVICE_HELD, "device-held",
	  "A device may not be taken from the host, or cannot be taken now.",
	  "The line names it, and the way by which it is bound to what was asked for. Another device "
	  "may do; keep_drivers says whose devices the host keeps." },
	{ ERR_DEVICE_SPACE, "device-space",
	  "The devices' BARs do not fit into the guest's addresses.",
	  "Ask for fewer devices, or use a CPU with more physical address bits." },
	{ ERR_UNKNOWN, "unknown", "What the machine does not tell, and a pod has to know.",
	  "As root everything can be read. `casemate plan` lists what is unknown." },
	{ ERR_GUEST_BOOT, "guest-boot", "The guest did not come up.",
	  "The lines after it are the last of its console. If the host is merely slow, raise "
	  "start_timeout_tcg or start_timeout_kvm." },
	{ ERR_GUEST_GONE, "guest-gone", "The VM ended, or its agent broke the protocol.",
	  "The lines after it are the last of its console. A guest that ran out of memory needs "
	  "more of it: --memory." },
	{ ERR_CONTAINER, "container", "The container's process could not be started.",
	  "The line has the guest's own words: a program that is not in the image, a user it does "
	  "not know." },
	{ ERR_REFUSED, "refused",
	  "The guest or its broker refused it, by what the tenant's policy allows.",
	  "The word before the text is the reason: `casemate explain` knows it." },
};

const struct err_code_info *err_code_info(size_t i)
{
	return i < sizeof(codes) / sizeof(codes[0]) ? &codes[i] : NULL;
}

/* A number from a peer may be none of ours. */
const char *err_code_name(enum err_code code)
{
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (codes[i].code == code)
			return codes[i].name;
	return codes[0].name;
}

static PRINTF_LIKE(4, 0) void err_fill(struct err *err, enum err_code code, int num,
				       const char *fmt, va_list ap)
{
	assert(num < 0);
	if (!err)
		return;
	err->num = num;
	err->code = code;
	(void)vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
}

/* %m rather than strerror(): no static buffer, and the same words as everywhere else. */
static void err_add_meaning(struct err *err, int num)
{
	size_t len;

	if (!err)
		return;
	len = strlen(err->msg);
	errno = -num;
	(void)snprintf(err->msg + len, sizeof(err->msg) - len, ": %m");
}

int err_set(struct err *err, int num, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	err_fill(err, ERR_OTHER, num, fmt, ap);
	va_end(ap);
	return num;
}

int err_coded(struct err *err, enum err_code code, int num, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	err_fill(err, code, num, fmt, ap);
	va_end(ap);
	return num;
}

int err_sys(struct err *err, const char *fmt, ...)
{
	int num = errno > 0 ? -errno : -EIO;
	va_list ap;

	va_start(ap, fmt);
	err_fill(err, ERR_OTHER, num, fmt, ap);
	va_end(ap);
	err_add_meaning(err, num);
	return num;
}

int err_num(struct err *err, int num, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	err_fill(err, ERR_OTHER, num, fmt, ap);
	va_end(ap);
	err_add_meaning(err, num);
	return num;
}

int err_wrap(struct err *err, int num, const char *fmt, ...)
{
	static const char cut[] = "...";
	char outer[sizeof(err->msg) / 2];
	size_t outer_len, inner_len, room, gone;
	va_list ap;

	assert(num < 0);
	if (!err)
		return num;

	va_start(ap, fmt);
	(void)vsnprintf(outer, sizeof(outer), fmt, ap);
	va_end(ap);

	if (err->num == 0 || !err->msg[0]) {
		err->num = num;
		(void)snprintf(err->msg, sizeof(err->msg), "%s", outer);
		err_add_meaning(err, num);
		return num;
	}

	outer_len = strlen(outer);
	inner_len = strlen(err->msg);
	room = sizeof(err->msg) - 1 - outer_len - 2;
	if (inner_len <= room) {
		memmove(err->msg + outer_len + 2, err->msg, inner_len + 1);
	} else {
		gone = inner_len - room + sizeof(cut) - 1;
		memmove(err->msg + outer_len + 2 + sizeof(cut) - 1, err->msg + gone,
			inner_len - gone + 1);
		memcpy(err->msg + outer_len + 2, cut, sizeof(cut) - 1);
	}
	memcpy(err->msg, outer, outer_len);
	memcpy(err->msg + outer_len, ": ", 2);
	return num;
}

int err_recode(struct err *err, int num, enum err_code code)
{
	if (err && err->code == ERR_OTHER)
		err->code = code;
	return num;
}
