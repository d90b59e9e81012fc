/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pod_priv - what the files of this folder share.
 *
 *	pod.c        the pod: finding things, results, describing, ending
 *	create.c     a container's way from a request to CREATED
 *	vm.c         lease, QEMU, the agent's answer, and the end of all three
 *	process.c    start, wait, kill, delete
 *	stream.c     output pulled, input pushed
 *	prepare.c    the child that does image work and planning
 *	relay.c      bytes between the agent and the policy's broker
 *	processor.c  the secure processor that a confidential VM is started by
 */
#ifndef POD_POD_PRIV_H
#define POD_POD_PRIV_H

#include "lease/lease.h"
#include "plan/layout.h"
#include "pod/pod.h"
#include "rpc/conn.h"
#include "state/pod.h"
#include "sys/logfile.h"
#include "vmm/vmm.h"
#include "wire/proto/agent.pb-c.h"

#define POD_AGENT "casemate.agent.v1.Agent"

enum {
	POD_MAX_LAYERS = 128,
	POD_MAX_LUNS = LAYOUT_LUN_LAST + 1, /* disks attached at once */
	POD_MAX_PHASES = 24,
	POD_STREAMS = 2,
	POD_MAX_SECRETS = 64,	    /* of one container, as a policy has them */
	POD_RELAY_LINKS = 8,	    /* to the broker, at once; as many as an agent has */
	POD_RELAY_TURN_MS = 1000,   /* no more than so many are begun in it */
	POD_RELAY_PIECE = 32 << 10, /* bytes of one read or write of it */
	POD_RELAY_DIAL_MS = 4000,   /* for each of its addresses */
	POD_REFUSALS_TIMEOUT_MS = 2000,
	POD_SECRETS_MS = 25000, /* more than an agent gives a broker */
};

struct pod_waiter {
	struct pod_waiter *next;
	pod_done_fn *done;
	void *data;
};

/* One output stream of a process. */
struct pod_out {
	struct pod_process *process;
	Agent__Stream which;
	int fd;			    /* the client's FIFO; -1: see log, else nobody wants it */
	struct logfile *log;	    /* shared by both streams; NULL: none */
	struct loop_source *source; /* waits until fd takes more */
	struct buf pending;	    /* read, not yet written on */
	unsigned int asked;	    /* reads under way */
	bool eof;
};

/* A process's input. */
struct pod_in {
	struct pod_process *process;
	int fd;
	struct loop_source *source;
	bool busy;   /* a write to the agent is under way */
	bool closed; /* the agent has been told, or is being */
	bool held;   /* it stands in the pod's queue: */
	struct pod_in *next_held;
};

struct pod_process {
	uint64_t number;	  /* never given twice in a pod */
	struct pod_process *next; /* of the same container */
	struct pod_container *container;
	char exec_id[POD_ID_MAX + 1];
	enum process_state state;
	bool terminal;
	const void *owner; /* whoever asked; NULL: it outlives him */
	bool detached;	   /* it does from its start on */
	bool abandoned;	   /* its owner has gone: it goes as soon as it can */
	struct pod_waiter *waiters;
	uint32_t status;
	uint32_t pid;
	int64_t exited_ns;
	bool is_lost; /* it ended with the VM, which nobody asked for */
	struct pod_out out[POD_STREAMS];
	struct pod_in in;
};

/* A call to the agent: its answer finds the process again by number, if it is still there. */
struct pod_call {
	struct pod *pod;
	uint64_t number;
	pod_done_fn *done;
	void *data;
};

struct pod_container {
	struct pod_container *next;
	struct pod *pod;
	char id[POD_ID_MAX + 1];
	struct pod_process first; /* the container's own process */
	struct pod_process *execs;
	Casemate__Request *request;
	Casemate__PrepareResult *prepared;
	unsigned int luns[POD_MAX_LAYERS];
	size_t lun_count;
	struct logfile *log;
	int64_t created_ns;
	struct pod_creation *creation; /* while it is being created */
};

struct pod_lun {
	char *key; /* the layer's; NULL: free */
	unsigned int refs;
};

struct pod_phase {
	const char *name;
	uint64_t us;
};

/* Both from a turn of the loop; at most one of either. */
struct pod_boot_calls {
	void (*ready)(void *data); /* QEMU takes disks; the guest is not up yet */
	pod_done_fn *done;	   /* the agent is there, or the VM is gone */
	void *data;
};

struct pod {
	struct pod_opts opts;
	char name[POD_ID_MAX + 1];
	enum pod_state state;
	struct vmm *vmm;
	struct rpc_conn *agent;
	struct loop_source *deadline;
	struct pod_link *links; /* relay.c's */
	unsigned int link_count;
	unsigned int links_begun;      /* since link_turn was set */
	struct loop_source *link_turn; /* ends the turn */
	bool is_accepting;	       /* an AcceptRelay is under way */
	struct loop_source *losing;    /* the port has closed: why is still to be seen */
	struct loop_source *ending;
	bool qemu_gone;
	struct pod_boot_calls boot; /* of the one create that boots; empty once it is over */
	const void *first_owner;    /* of the first container; NULL: detached, and started */
	bool removable;
	struct pod_container *containers;
	size_t container_count;
	size_t exec_count;
	struct pod_in *held; /* inputs that wait for room on the agent's port, in a queue */
	uint64_t numbers;    /* given to processes so far */
	struct pod_lun luns[POD_MAX_LUNS];
	Casemate__Vm *vm; /* borrowed from the first container's result, kept */
	Casemate__PrepareResult *vm_owner;
	uid_t uid;
	int processor_pidfd; /* of one started for this pod; -1: none */
	char kernel[65];     /* the guest's */
	char *why;	     /* what ended the VM, if it was not asked for */
	struct pod_phase phases[POD_MAX_PHASES];
	size_t phase_count;
	uint64_t phase_us; /* when the last one ended */
};

/* pod.c */
struct pod_container *pod_find(struct pod *pod, const char *id);
struct pod_process *pod_find_process(struct pod *pod, const char *id, const char *exec_id);
void pod_done_ok(pod_done_fn *done, void *data);
void pod_done_err(pod_done_fn *done, void *data, const struct err *err);
void pod_phase(struct pod *pod, const char *name);
void pod_container_free(struct pod_container *container);
/* Ends the VM when no container runs, is being made, or could still be started. */
void pod_settle(struct pod *pod);

/* prepare.c: fds are result's, in its order; the callback owns both. result NULL: see err. */
struct pod_prepare;
typedef void pod_prepare_fn(void *data, Casemate__PrepareResult *take_result, const int *fds,
			    size_t fd_count, const struct err *err);
int pod_prepare_start(struct loop *loop, const char *program,
		      const Casemate__PrepareRequest *request, pod_prepare_fn *done, void *data,
		      struct pod_prepare **ret, struct err *err);
struct pod_prepare *pod_prepare_free(struct pod_prepare *prepare); /* kills the child */

/* relay.c: from when the agent has its policy, until the agent's connection has been freed. */
void pod_relay_start(struct pod *pod);
void pod_relay_end(struct pod *pod);

/*
 * processor.c: a connection to the VM's processor. ERR_HOST: there is none, and this user may not
 * start one. pod_processor_end() waits for the end of one that was started; its connection has been
 * closed before.
 */
int pod_processor_connect(struct pod *pod, int *ret_fd, struct err *err);
void pod_processor_end(struct pod *pod);

/* vm.c: fds[] in the order of vm->targets, the caller's still. */
void pod_boot(struct pod *pod, Casemate__Vm *vm, const int *fds, size_t fd_count,
	      const struct pod_boot_calls *calls);
void pod_vm_lost(struct pod *pod, const char *why);
/* The deadline for step has passed: the VM is of no more use. */
void pod_late(struct pod *pod, const char *step, const char *phase);

/* create.c */
void pod_creation_fail(struct pod_creation *creation, const struct pod_result *result);
/* Gives up the container's disks; the agent has let go of them, or the VM is gone. */
void pod_release_luns(struct pod_container *container);

/* process.c */
void pod_process_init(struct pod_process *process, struct pod_container *container,
		      const char *exec_id);
void pod_process_done(struct pod_process *process);
void pod_process_ended(struct pod_process *process, uint32_t status, int64_t exited_ns);
struct pod_process *pod_find_number(struct pod *pod, uint64_t number);
/* Its owner is gone: ends or removes it if its state allows. Called again when that changes. */
void pod_abandon(struct pod_process *process);
/*
 * Calls the agent; answered is given a struct pod_call that it frees. With -EPIPE the end of the
 * VM follows, or has come: pod_vm_lost() says why.
 */
void pod_call_agent(struct pod_process *process, const char *method,
		    const ProtobufCMessage *request, rpc_reply_fn *answered, pod_done_fn *done,
		    void *data);
/* What a reply of the agent's that is a failure means: sets err, returns its number. */
int pod_reply_err(const struct rpc_reply *reply, const char *step, struct err *err);

/* stream.c */
int pod_stream_open(struct pod_process *process, const struct pod_io *io, struct logfile *log,
		    struct err *err);
/* Nothing more will come, and what came is written on. */
bool pod_stream_is_drained(const struct pod_process *process);
void pod_stream_start(struct pod_process *process);
void pod_stream_close(struct pod_process *process);
void pod_stream_close_input(struct pod_process *process);
void pod_stream_go_on(struct pod *pod); /* there is room on the agent's port again */

#endif
