// SPDX-License-Identifier: Apache-2.0
/*
 * baseline_init - what the figures are held against: the same guest with nothing of Casemate's in
 * it but the two headers that speak to device-mapper and mount. It is PID 1 of a base image of
 * its own, does what /bench/job says, and powers off.
 *
 *	mode MODE
 *	layer SERIAL ROOT DATA_BLOCKS HASH_START	lowest first
 *
 *	bare	nothing
 *	start	opens the layers by verity, stacks them, runs crun once on /bench/config.json
 *	exec	the same with a container that stays; for each 'x' on the console one `crun exec`
 *	read	reads the last layer's verity device, then /big of its file system, again and again
 *	stream	64 MiB out of the virtio-serial port, 64 MiB in
 *
 * Results are lines on the console that begin with "bench:"; times are microseconds.
 *
 * Under any other process ID it is the reader that runs in a container:
 *	reader COUNT FILE	reads the file COUNT times and prints a line for each
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/macro.h"
#include "sys/dm.h"
#include "sys/fsmount.h"
#include "sys/guest.h"

#define CRUN "/usr/bin/crun", "--cgroup-manager=cgroupfs", "--root=/run/crun"
#define RUN_DIR "/run/bench"

enum {
	LAYERS_MAX = 128,
	READ_SIZE = 1 << 20,
	STREAM_BYTES = 64 << 20,
	STREAM_CHUNK = 64 << 10,
	WARM_READS = 6, /* the first is cold, as far as this file system goes */
};

struct job {
	char mode[16];
	struct dm_verity layers[LAYERS_MAX];
	char serials[LAYERS_MAX][GUEST_SERIAL_MAX + 1];
	dev_t devices[LAYERS_MAX];
	size_t count;
};

static uint64_t now_us(clockid_t clock)
{
	struct timespec ts;

	(void)clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static _Noreturn void off(void)
{
	(void)reboot(RB_POWER_OFF);
	_exit(1);
}

static PRINTF_LIKE(1, 2) _Noreturn void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)printf("bench: error ");
	(void)vprintf(fmt, ap);
	(void)printf("\n");
	va_end(ap);
	if (getpid() != 1)
		exit(1);
	off();
}

static void check(int r, const struct err *err)
{
	if (r < 0)
		die("%s", err->msg);
}

static void read_root(const char *hex, uint8_t *ret)
{
	unsigned byte;

	for (size_t i = 0; i < DM_ROOT_SIZE; i++) {
		if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
			die("a root hash of no use");
		ret[i] = (uint8_t)byte;
	}
}

static void read_job(struct job *job)
{
	FILE *file = fopen("/bench/job", "re");
	char root[2 * DM_ROOT_SIZE + 1];
	unsigned long long blocks, start;

	if (!file || fscanf(file, "mode %15s", job->mode) != 1)
		die("there is no job");
	while (job->count < LAYERS_MAX &&
	       fscanf(file, " layer %36s %64s %llu %llu", job->serials[job->count], root, &blocks,
		      &start) == 4) {
		struct dm_verity *layer = &job->layers[job->count++];

		read_root(root, layer->root);
		layer->data_blocks = blocks;
		layer->hash_start = start;
	}
	(void)fclose(file);
}

static void mount_all(void)
{
	static const char *const mounts[][2] = {
		{ "proc", "/proc" }, { "sysfs", "/sys" }, { "devtmpfs", "/dev" },
		{ "tmpfs", "/run" }, { "tmpfs", "/tmp" }, { "cgroup2", "/sys/fs/cgroup" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(mounts); i++)
		if (mount(mounts[i][0], mounts[i][1], mounts[i][0], 0, NULL) < 0 && errno != EBUSY)
			die("mount '%s': %m", mounts[i][1]);
	if (mkdir(RUN_DIR, 0755) < 0)
		die("make '" RUN_DIR "': %m");
}

/* The kernel looks for none by itself, as its command line says; it makes them in its own time. */
static void find_disks(struct job *job)
{
	int sysfs_fd = open("/sys", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;
	char *serials[LAYERS_MAX];
	struct err err = { 0 };

	for (size_t i = 0; i < job->count; i++)
		serials[i] = job->serials[i];
	check(guest_disks_rescan(sysfs_fd, &err), &err);
	do
		r = guest_disks_find(sysfs_fd, serials, job->count, job->devices, &err);
	while (r == -ENOENT && usleep(500) == 0);
	check(r, &err);
	(void)close(sysfs_fd);
}

static void open_layers(struct job *job)
{
	int control_fd = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
	struct err err = { 0 };
	char name[32];

	for (size_t i = 0; i < job->count; i++) {
		(void)snprintf(name, sizeof(name), "layer%zu", i);
		job->layers[i].device = job->devices[i];
		check(dm_verity_open(control_fd, name, &job->layers[i], &job->devices[i], &err),
		      &err);
	}
	(void)close(control_fd);
}

/* lower/N for the layer, made by the same calls that the agent uses. */
static void mount_layer(const struct job *job, size_t layer)
{
	char node[32], at[64];
	struct err err = { 0 };
	int mount_fd;

	(void)snprintf(node, sizeof(node), "/dev/dm-%u", minor(job->devices[layer]));
	(void)snprintf(at, sizeof(at), RUN_DIR "/%zu", layer);
	check(fsmount_make("erofs", (struct fsmount_option[]){ { "source", node }, { "ro", NULL } },
			   2, MOUNT_ATTR_RDONLY, &mount_fd, &err),
	      &err);
	(void)mkdir(at, 0755);
	check(fsmount_place(mount_fd, AT_FDCWD, at, &err), &err);
	(void)close(mount_fd);
}

static void mount_stack(const struct job *job)
{
	struct fsmount_option options[LAYERS_MAX + 8] = {
		{ "redirect_dir", "nofollow" },
		{ "metacopy", "off" },
		{ "index", "off" },
		{ "xino", "off" },
		{ "upperdir", RUN_DIR "/rw/upper" },
		{ "workdir", RUN_DIR "/rw/work" },
	};
	char paths[LAYERS_MAX][32];
	struct err err = { 0 };
	size_t count = 6;
	int mount_fd;

	(void)mkdir(RUN_DIR "/rw", 0700);
	if (mount("tmpfs", RUN_DIR "/rw", "tmpfs", 0, NULL) < 0 ||
	    mkdir(RUN_DIR "/rw/upper", 0755) < 0 || mkdir(RUN_DIR "/rw/work", 0755) < 0 ||
	    mkdir(RUN_DIR "/root", 0755) < 0)
		die("make the upper directory: %m");
	for (size_t i = job->count; i-- > 0;) {
		(void)snprintf(paths[i], sizeof(paths[i]), RUN_DIR "/%zu", i);
		options[count++] = (struct fsmount_option){ "lowerdir+", paths[i] };
	}
	check(fsmount_make("overlay", options, count, 0, &mount_fd, &err), &err);
	check(fsmount_place(mount_fd, AT_FDCWD, RUN_DIR "/root", &err), &err);
	(void)close(mount_fd);
}

static void make_root(struct job *job)
{
	open_layers(job);
	for (size_t i = 0; i < job->count; i++)
		mount_layer(job, i);
	mount_stack(job);
}

/* Its exit status. Streams are on /dev/null, so that nothing waits for the console. */
static int run(char *const *argv)
{
	char *const envp[] = { NULL };
	int status, null_fd;
	pid_t pid;

	pid = fork();
	if (pid == 0) {
		null_fd = open("/dev/null", O_RDWR);
		for (int i = 0; i < 2; i++)
			(void)dup2(null_fd, i);
		(void)execve(argv[0], argv, envp);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			die("wait for crun: %m");
	return pid < 0 || !WIFEXITED(status) ? 255 : WEXITSTATUS(status);
}

static void do_start(struct job *job)
{
	char *argv[] = { CRUN, "run", "--bundle=/bench", "c", NULL };
	uint64_t began = now_us(CLOCK_BOOTTIME), disks, stacked;
	int status;

	mount_all();
	find_disks(job);
	disks = now_us(CLOCK_BOOTTIME);
	make_root(job);
	stacked = now_us(CLOCK_BOOTTIME);
	status = run(argv);
	(void)printf("bench: start %d %llu %llu %llu %llu\n", status, (unsigned long long)began,
		     (unsigned long long)(disks - began), (unsigned long long)(stacked - disks),
		     (unsigned long long)(now_us(CLOCK_BOOTTIME) - stacked));
}

/* Keys as they come, not as lines, and no echo of them. */
static void set_console(void)
{
	struct termios attrs;

	if (tcgetattr(STDIN_FILENO, &attrs) < 0)
		die("set up the console: %m");
	attrs.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	(void)tcsetattr(STDIN_FILENO, TCSANOW, &attrs);
}

static void do_exec(struct job *job)
{
	char *start[] = { CRUN, "run", "--detach", "--bundle=/bench", "c", NULL };
	char *exec[] = { CRUN, "exec", "c", "/bin/true", NULL };
	uint64_t began;
	int status;
	char key;

	mount_all();
	find_disks(job);
	make_root(job);
	status = run(start);
	if (status != 0)
		die("crun run: status %d", status);
	set_console();
	(void)printf("bench: ready\n");
	while (read(STDIN_FILENO, &key, 1) == 1 && key == 'x') {
		began = now_us(CLOCK_MONOTONIC);
		status = run(exec);
		(void)printf("bench: exec %d %llu\n", status,
			     (unsigned long long)(now_us(CLOCK_MONOTONIC) - began));
	}
}

static void read_file(const char *word, const char *path)
{
	static uint8_t chunk[READ_SIZE];
	uint64_t began = now_us(CLOCK_MONOTONIC), bytes = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : 0;

	while (fd >= 0 && (got = read(fd, chunk, sizeof(chunk))) > 0)
		bytes += (uint64_t)got;
	if (got < 0)
		die("read '%s': %m", path);
	(void)close(fd);
	(void)printf("bench: %s %llu %llu\n", word,
		     (unsigned long long)(now_us(CLOCK_MONOTONIC) - began),
		     (unsigned long long)bytes);
}

static void do_read(struct job *job)
{
	char path[64];

	mount_all();
	find_disks(job);
	open_layers(job);
	(void)snprintf(path, sizeof(path), "/dev/dm-%u", minor(job->devices[job->count - 1]));
	read_file("device", path);
	mount_layer(job, job->count - 1);
	(void)snprintf(path, sizeof(path), RUN_DIR "/%zu/big", job->count - 1);
	for (int i = 0; i < WARM_READS; i++)
		read_file(i == 0 ? "cold" : "warm", path);
}

/* One direction: what is left of it is moved whenever the port can. */
static void stream(int port_fd, short events)
{
	static uint8_t chunk[STREAM_CHUNK];
	struct pollfd port = { .fd = port_fd, .events = events };
	size_t left = STREAM_BYTES, size;
	ssize_t n;

	while (left > 0) {
		size = left < sizeof(chunk) ? left : sizeof(chunk);
		n = events == POLLOUT ? write(port_fd, chunk, size) : read(port_fd, chunk, size);
		if (n > 0)
			left -= (size_t)n;
		else if (n < 0 && errno == EAGAIN)
			(void)poll(&port, 1, -1);
		else
			die("move bytes through the port: %m");
	}
}

static void do_stream(void)
{
	int sysfs_fd, dev_fd, port_fd;
	struct err err = { 0 };
	uint64_t began;

	mount_all();
	sysfs_fd = open("/sys", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dev_fd = open("/dev", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	check(guest_port_open(sysfs_fd, dev_fd, "casemate.agent", &port_fd, &err), &err);
	stream(port_fd, POLLOUT);
	began = now_us(CLOCK_MONOTONIC);
	stream(port_fd, POLLIN);
	(void)printf("bench: in %llu\n", (unsigned long long)(now_us(CLOCK_MONOTONIC) - began));
}

int main(int argc, char **argv)
{
	static struct job job;

	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	if (getpid() != 1 || argc > 2) {
		if (argc != 3)
			die("usage: reader COUNT FILE");
		for (int i = 0; i < strtol(argv[1], NULL, 10); i++)
			read_file(i == 0 ? "cold" : "warm", argv[2]);
		return 0;
	}
	read_job(&job);
	if (strcmp(job.mode, "start") == 0)
		do_start(&job);
	else if (strcmp(job.mode, "exec") == 0)
		do_exec(&job);
	else if (strcmp(job.mode, "read") == 0)
		do_read(&job);
	else if (strcmp(job.mode, "stream") == 0)
		do_stream();
	off();
}
