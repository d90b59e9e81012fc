# The front door: what a person types. Everything is made in $(BUILD); nothing but make, git and a
# shell is needed to begin, tools/deps installs the rest (as root; as a user it says what is missing).
#
#	make		the programs and the guest
#	make demo	a container from a real OCI image in a VM of its own, with devices, with a key
#	make lab	a shell in the emulated GPU server
#	make lab-run	CMD='...': one command in it
#	make check	all tests of a sitting; ends with one line of totals
#	make check-lab	all of those in the emulated server; make check has two programs of them, by chance
#	make soak	the full counts: hours; goes on where it was stopped
#	make fuzz	every fuzz target for FUZZ_SECONDS (60)
#	make lint	layout, clang-tidy, shellcheck
#	make bench	the published figures
#	make install	DESTDIR= PREFIX=/usr

BUILD ?= build
PREFIX ?= /usr
DESTDIR ?=
FUZZ_SECONDS ?= 60
export CASEMATE_BUILD := $(abspath $(BUILD))
# MUST_WORK=1, as CI has it: nothing may be skipped, and a compiler's warning is an error.
guest := $(BUILD)/guest
# The emulated server's userland is installed by root.
LAB_IMAGE := $(if $(filter 0,$(shell id -u)),lab-image)

all: guest

deps:
	@tools/deps

$(BUILD)/build.ninja: | deps
	@mkdir -p $(BUILD)
	@echo "programs: configure"
	@meson setup --buildtype=release --prefix=$(PREFIX) \
		-Dwerror=$(if $(MUST_WORK),true,false) $(BUILD) >$(BUILD)/setup.log 2>&1 || \
		{ cat $(BUILD)/setup.log; exit 1; }

programs: $(BUILD)/build.ninja | deps
	@ninja --quiet -C $(BUILD) build.ninja >$(BUILD)/setup.log 2>&1 || \
		{ cat $(BUILD)/setup.log; exit 1; }
	@echo "programs: compile"
	@ninja --quiet -C $(BUILD)

guest: programs
	@guest/build-kernel $(guest)
	@guest/build-base $(guest)
	@guest/build-base $(guest) lab

image: deps
	@tools/sample-image $(BUILD)/demo/image

demo: guest image $(LAB_IMAGE)
	@tools/demo $(BUILD)
	@$(if $(LAB_IMAGE),tools/demo-lab $(BUILD) && tools/demo-trust $(BUILD),:)

lab-image: deps
	@lab/make-image $(BUILD)
	@tools/lab-tools $(BUILD)

lab: guest image lab-image
	@lab/lab start -w $$$$ $(BUILD) && { lab/lab shell $(BUILD); lab/lab stop $(BUILD); }

lab-run: guest image lab-image
	@lab/lab start -w $$$$ $(BUILD) && lab/lab run $(BUILD) -- sh -c '$(subst ','\'',$(CMD))'

check: guest image $(if $(filter 0,$(LAB)),,$(LAB_IMAGE))
	@LAB=$(LAB) tools/check $(BUILD)

check-lab: guest image lab-image
	@tools/check -s lab $(BUILD)

soak: guest image $(LAB_IMAGE)
	@tools/soak $(BUILD)

fuzz: deps
	@FUZZ_SECONDS=$(FUZZ_SECONDS) tools/check -s fuzz $(BUILD)

lint: $(BUILD)/build.ninja
	@tools/lint $(BUILD)

format: | deps
	@find src tests fuzz bench -name '*.[ch]' -exec clang-format -i {} +

bench: guest image
	@bench/run $(BUILD)

# Of what is built already, so that root installs what a user has compiled.
install:
	@test -f $(guest)/vmlinux || { echo "make install: run 'make' first" >&2; exit 1; }
	@grep -qx 'prefix = $(PREFIX)' $(BUILD)/meson-private/cmd_line.txt || \
		{ meson configure -Dprefix=$(PREFIX) $(BUILD) && ninja -C $(BUILD) build.ninja; } >/dev/null
	@DESTDIR=$(DESTDIR) meson install --quiet --no-rebuild -C $(BUILD)
	@tools/install-guest $(guest) $(DESTDIR)$(PREFIX)/lib/casemate/guest

clean:
	@rm -rf $(BUILD)

.PHONY: all deps programs guest image demo lab lab-image lab-run check check-lab soak fuzz lint format bench install clean
