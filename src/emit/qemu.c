// SPDX-License-Identifier: Apache-2.0
#include "emit/qemu.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "emit/args_priv.h"

void emit_qemu_done(struct emit_qemu *emit)
{
	strv_done(&emit->argv);
	*emit = (struct emit_qemu){ 0 };
}

int emit_target(enum layout_role role)
{
	return EMIT_TARGET_FIRST + (int)role;
}

static bool emit_is_word(const char *text)
{
	const size_t len = strlen(text);

	return len > 0 && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789.-") == len;
}

static bool emit_has_port(const struct layout *layout, enum layout_role role)
{
	for (size_t i = 0; i < layout->port_count && i < LAYOUT_PORTS_MAX; i++)
		if (layout->ports[i].role == role)
			return true;
	return false;
}

static int emit_check(const struct layout *layout)
{
	if (layout->vcpus == 0 || layout->memory_mib == 0 || layout->accel > LAYOUT_KVM ||
	    layout->tee > LAYOUT_TEE_SIM ||
	    emit_has_port(layout, LAYOUT_ROLE_TEE) != (layout->tee != LAYOUT_TEE_NONE) ||
	    layout->device_count > LAYOUT_DEVICES_MAX || layout->port_count > LAYOUT_PORTS_MAX)
		return -EINVAL;
	for (size_t i = 0; i < layout->device_count; i++) {
		if (layout->devices[i].slot < 1 || layout->devices[i].slot > 30 ||
		    (i && layout->devices[i].slot <= layout->devices[i - 1].slot) ||
		    layout->devices[i].role >= LAYOUT_ROLES)
			return -EINVAL;
	}
	for (size_t i = 0; i < layout->port_count; i++) {
		if (layout->ports[i].role >= LAYOUT_ROLES || layout->ports[i].number < 1 ||
		    layout->ports[i].number > layout->port_count ||
		    !emit_is_word(layout->ports[i].name))
			return -EINVAL;
	}
	return emit_pci_check(layout);
}

static bool emit_has_disk(const struct layout *layout, enum layout_role role)
{
	for (size_t i = 0; i < layout->device_count; i++)
		if (layout->devices[i].kind == LAYOUT_BLOCK && layout->devices[i].role == role)
			return true;
	return false;
}

static bool emit_uses(const struct layout *layout, enum layout_role role)
{
	switch (role) {
	case LAYOUT_ROLE_KVM:
		return layout->accel == LAYOUT_KVM;
	case LAYOUT_ROLE_BASE:
		return emit_has_disk(layout, role);
	case LAYOUT_ROLE_AGENT:
	case LAYOUT_ROLE_TEE:
		return emit_has_port(layout, role);
	case LAYOUT_ROLE_KERNEL:
	case LAYOUT_ROLE_FIRMWARE:
	case LAYOUT_ROLE_QMP:
	case LAYOUT_ROLE_CONSOLE:
	case LAYOUT_ROLES:
		break;
	}
	return true;
}

/* A descriptor that is in a set is QEMU's: it can be opened by /dev/fdset any number of times. */
static void emit_set(struct emit_args *args, enum layout_role role)
{
	EMIT(args, "-add-fd", "fd=%d,set=%d", emit_target(role), emit_target(role));
}

/* iommu_platform: the guest says where a device may look, which is all that it decrypts. */
static void emit_device(struct emit_args *args, const struct layout *layout,
			const struct layout_device *device)
{
	const char *tee = layout->tee != LAYOUT_TEE_NONE ? ",iommu_platform=on" : "";

	switch (device->kind) {
	case LAYOUT_SCSI:
		EMIT(args, "-device",
		     "virtio-scsi-pci,id=scsi,bus=pcie.0,addr=%02x.0,"
		     "disable-legacy=on%s,num_queues=1",
		     device->slot, tee);
		break;
	case LAYOUT_BLOCK:
		EMIT(args, "-device",
		     "virtio-blk-pci,id=block%u,bus=pcie.0,addr=%02x.0,"
		     "disable-legacy=on%s,num-queues=1,drive=block%u",
		     device->slot, device->slot, tee, device->slot);
		break;
	case LAYOUT_SERIAL:
		/* The guest makes two queues for each port there could be: not for 31. */
		EMIT(args, "-device",
		     "virtio-serial-pci,id=serial,bus=pcie.0,addr=%02x.0,"
		     "disable-legacy=on%s,max_ports=%zu",
		     device->slot, tee, layout->port_count + 1);
		for (size_t i = 0; i < layout->port_count; i++)
			EMIT(args, "-device",
			     "virtserialport,id=port%u,bus=serial.0,nr=%u,"
			     "chardev=port%u,name=%s",
			     layout->ports[i].number, layout->ports[i].number,
			     layout->ports[i].number, layout->ports[i].name);
		break;
	case LAYOUT_RNG:
		EMIT(args, "-device",
		     "virtio-rng-pci,id=rng,bus=pcie.0,addr=%02x.0,"
		     "disable-legacy=on%s,rng=rng",
		     device->slot, tee);
		break;
	}
}

/* Options by name, and each kind in the layout's order: -a to -c. */
static void emit_backends(struct emit_args *args, const struct layout *layout)
{
	if (layout->accel == LAYOUT_KVM) {
		EMIT(args, "-accel", "kvm,device=/dev/fdset/%d", emit_target(LAYOUT_ROLE_KVM));
	} else {
		EMIT(args, "-accel", "tcg");
	}
	for (size_t i = 0; i < layout->device_count; i++)
		if (layout->devices[i].kind == LAYOUT_BLOCK)
			emit_set(args, layout->devices[i].role);
	if (layout->accel == LAYOUT_KVM)
		emit_set(args, LAYOUT_ROLE_KVM);
	EMIT(args, "-append", "%s", layout->cmdline);
	EMIT(args, "-bios", "/proc/self/fd/%d", emit_target(LAYOUT_ROLE_FIRMWARE));
	for (size_t i = 0; i < layout->device_count; i++)
		if (layout->devices[i].kind == LAYOUT_BLOCK)
			EMIT(args, "-blockdev",
			     "driver=raw,node-name=block%u,read-only=on,auto-read-only=off,"
			     "file.driver=file,file.filename=/dev/fdset/%d,file.read-only=on,"
			     "file.auto-read-only=off,file.locking=off",
			     layout->devices[i].slot, emit_target(layout->devices[i].role));
	EMIT(args, "-chardev", "socket,id=console,fd=%d", emit_target(LAYOUT_ROLE_CONSOLE));
	for (size_t i = 0; i < layout->port_count; i++)
		EMIT(args, "-chardev", "socket,id=port%u,fd=%d", layout->ports[i].number,
		     emit_target(layout->ports[i].role));
	EMIT(args, "-chardev", "socket,id=qmp,fd=%d", emit_target(LAYOUT_ROLE_QMP));
	EMIT(args, "-cpu", "%s", layout->accel == LAYOUT_KVM ? "host,migratable=off" : "max");
}

/* -d to -s: what nobody asked for is off, since the guest takes its time to look at each. */
static void emit_machine(struct emit_args *args, const struct layout *layout)
{
	char low[40] = "";

	if (layout->low_mib)
		(void)snprintf(low, sizeof(low), ",max-ram-below-4g=%uM", layout->low_mib);
	for (size_t i = 0; i < layout->device_count; i++)
		emit_device(args, layout, &layout->devices[i]);
	emit_pci(args, layout);
	EMIT(args, "-device", "isa-serial,id=console,chardev=console");
	EMIT(args, "-display", "none");
	EMIT(args, "-kernel", "/proc/self/fd/%d", emit_target(LAYOUT_ROLE_KERNEL));
	EMIT(args, "-m", "size=%uM", layout->memory_mib);
	EMIT(args, "-machine",
	     "pc-q35-10.0,smm=off,sata=off,smbus=off,hpet=off,i8042=off,vmport=off,"
	     "graphics=off,usb=off,dump-guest-core=off,mem-merge=off%s",
	     low);
	EMIT(args, "-mon", "chardev=qmp,mode=control,pretty=off");
	emit_option(args, "-no-reboot");
	emit_option(args, "-no-user-config");
	emit_option(args, "-nodefaults");
	emit_nodes(args, layout);
	for (size_t i = 0; i < layout->device_count; i++)
		if (layout->devices[i].kind == LAYOUT_RNG)
			EMIT(args, "-object", "rng-builtin,id=rng");
	EMIT(args, "-sandbox",
	     "on,obsolete=deny,elevateprivileges=deny,spawn=deny,"
	     "resourcecontrol=deny");
	EMIT(args, "-smp", "cpus=%u", layout->vcpus);
}

int emit_qemu(const struct layout *layout, const char *program, struct emit_qemu *ret,
	      struct err *err)
{
	struct emit_args args = { .num = emit_check(layout) };
	struct emit_qemu emit = { 0 };

	if (args.num < 0)
		return err_set(err, args.num, "write QEMU's arguments: no VM can have this layout");
	emit_option(&args, program);
	emit_backends(&args, layout);
	emit_machine(&args, layout);
	if (args.num < 0) {
		strv_done(&args.argv);
		return err_num(err, args.num, "write QEMU's arguments");
	}
	for (enum layout_role role = 0; role < LAYOUT_ROLES; role++) {
		if (emit_uses(layout, role))
			emit.fds[emit.fd_count++] = (struct emit_fd){ role, emit_target(role) };
	}
	emit.argv = args.argv;
	*ret = emit;
	return 0;
}
