// SPDX-License-Identifier: Apache-2.0
#include "cli/machine.h"

#include <errno.h>
#include <fcntl.h>

#include "base/buf.h"
#include "capture/capture.h"
#include "sys/file.h"

enum { PCI_IDS_MAX = 16 << 20 };

/* Names are for people: without the file there are none, and nothing else changes. */
static int add_names(struct arena *arena, struct machine *machine)
{
	static const char *const paths[] = { "/usr/share/misc/pci.ids",
					     "/usr/share/hwdata/pci.ids" };
	CLEANUP(buf_done) struct buf text = { 0 };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(paths); i++)
		if (file_read(AT_FDCWD, paths[i], PCI_IDS_MAX, &text, NULL) >= 0)
			return machine_name(arena, machine, buf_bytes(&text));
	return 0;
}

static int read_host(struct machine_capture *ret, struct err *err)
{
	cleanup_close int root_fd = -1;
	int r;

	r = file_open_dir(AT_FDCWD, "/", &root_fd, err);
	if (r < 0)
		return err_recode(err, r, ERR_HOST);
	return err_recode(err, capture_read_host(root_fd, ret, err), ERR_HOST);
}

int cli_machine_load(const char *from, struct arena *arena, struct machine_capture *ret_capture,
		     struct machine **ret, struct err *err)
{
	CLEANUP(machine_capture_done) struct machine_capture capture = { 0 };
	struct machine *machine;
	int r;

	r = from ? capture_read_path(AT_FDCWD, from, &capture, err) : read_host(&capture, err);
	if (r >= 0)
		r = machine_decode(arena, &capture, &machine, err);
	if (r < 0)
		return r;
	if (add_names(arena, machine) < 0)
		return err_num(err, -ENOMEM, "name devices");
	if (ret_capture) {
		*ret_capture = capture;
		capture = (struct machine_capture){ 0 };
	}
	*ret = machine;
	return 0;
}
