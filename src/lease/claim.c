// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/macro.h"
#include "base/text.h"
#include "lease/kind_priv.h"
#include "sys/file.h"
#include "sys/pcidev.h"

int lease_claim_owner(const struct lease_site *site, const char *dir, const char *name, size_t size,
		      char *ret, struct err *err)
{
	cleanup_close int claims_fd = -1;
	int r = lease_open_dir(site, dir, &claims_fd, NULL);

	if (r == 0)
		r = pcidev_link(claims_fd, name, ret, size);
	if (r == -ENOENT) {
		ret[0] = '\0';
		return 0;
	}
	return r < 0 ? err_num(err, r, "read the claim '%s/%s'", dir, name) : 0;
}

bool lease_claim_is_ours(const struct lease_site *site, const char *dir, const char *name)
{
	char owner[TEXT_NAME_MAX + 1];

	return lease_claim_owner(site, dir, name, sizeof(owner), owner, NULL) == 0 &&
	       strcmp(owner, site->pod) == 0;
}

static int claim_refuse(const struct lease_site *site, const char *dir, const char *name,
			struct err *err)
{
	char owner[TEXT_NAME_MAX + 1] = "";
	int r = lease_claim_owner(site, dir, name, sizeof(owner), owner, err);

	if (r < 0)
		return r;
	if (strcmp(owner, site->pod) == 0)
		return err_set(err, -EEXIST, "this pod has it already");
	return err_coded(err, ERR_DEVICE_HELD, -EBUSY, "pod '%s' has it",
			 owner[0] ? owner : "(one that has just ended)");
}

int lease_claim_take(const struct lease_site *site, const char *dir, const char *name,
		     struct err *err)
{
	cleanup_close int claims_fd = -1;
	int r = file_mkdir_p(site->run_fd, dir, 0700, err);

	if (r == 0)
		r = lease_open_dir(site, dir, &claims_fd, err);
	if (r < 0)
		return r;
	r = file_claim(claims_fd, name, site->pod);
	if (r == -EEXIST)
		return claim_refuse(site, dir, name, err);
	if (r < 0)
		return err_num(err, r, "claim '%s/%s'", dir, name);
	lease_site_step(site, "claimed");
	return 0;
}

int lease_claim_drop(const struct lease_site *site, const char *dir, const char *name,
		     struct err *err)
{
	cleanup_close int claims_fd = -1;
	int r = lease_open_dir(site, dir, &claims_fd, err);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = file_unclaim(claims_fd, name, site->pod);
	return r < 0 ? err_num(err, r, "free '%s/%s'", dir, name) : 0;
}
