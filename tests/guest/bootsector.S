/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest in 512 bytes. SeaBIOS loads it from the disk under test; it then talks to that disk through INT 13h alone:
 * sums what the host wrote, writes a pattern of its own, reads it back, compares, and leaves through isa-debug-exit.
 * The exit value is (code << 1) | 1: code 0 all is well, else the step that failed.
 *
 *   LBA 0          this sector; the host puts the expected sum at `wanted_sum`
 *   LBA 64…2111    the host's pattern: 32 rounds of 64 sectors, summed as 16-bit words
 *   LBA 4096…4159  our pattern: the word n is 0x1234 + 7 * n; the host looks at it afterwards
 */
	.code16
	.text
	.globl	_start

	.set	LOAD, 0x7c00
	.set	SECTORS, 64                     # a transfer: 32 KiB
	.set	WORDS, SECTORS * 256
	.set	ROUNDS, 32
	.set	FIRST_LBA, 64
	.set	OWN_LBA, 4096
	.set	BUFFER_SEG, 0x2000
	.set	CHECK_SEG, 0x3000
	.set	EXIT_PORT, 0xf4

_start:
	cli
	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movw	$LOAD, %sp
	sti
	cld
	movb	%dl, drive

	# step 1: read and sum
	movb	$1, step
	movw	$ROUNDS, %cx
	xorl	%ebx, %ebx
read_round:
	pushw	%cx
	movb	$0x42, %ah
	call	disk
	jc	failed
	pushw	%ds
	movw	$BUFFER_SEG, %ax
	movw	%ax, %ds
	xorw	%si, %si
	movw	$WORDS, %cx
	xorl	%eax, %eax
sum_word:
	lodsw
	addl	%eax, %ebx
	loop	sum_word
	popw	%ds
	addl	$SECTORS, packet_lba
	popw	%cx
	loop	read_round
	movb	$2, step
	cmpl	wanted_sum, %ebx
	jne	failed

	# step 3: write our own pattern
	movb	$3, step
	movw	$BUFFER_SEG, %ax
	movw	%ax, %es
	xorw	%di, %di
	movw	$WORDS, %cx
	movw	$0x1234, %ax
fill_word:
	stosw
	addw	$7, %ax
	loop	fill_word
	movl	$OWN_LBA, packet_lba
	movw	$0x4300, %ax
	call	disk
	jc	failed

	# step 4: read it back elsewhere; step 5: compare
	movb	$4, step
	movw	$CHECK_SEG, packet_seg
	movb	$0x42, %ah
	call	disk
	jc	failed
	movb	$5, step
	pushw	%ds
	movw	$CHECK_SEG, %ax
	movw	%ax, %ds
	xorw	%si, %si
	xorw	%di, %di
	movw	$WORDS, %cx
	repe	cmpsw
	popw	%ds
	jne	failed
	movb	$0, step

failed:
	movb	step, %al
	movw	$EXIT_PORT, %dx
	outb	%al, %dx
halt:
	hlt
	jmp	halt

# INT 13h with the packet; AH (and AL) say what
disk:
	movb	drive, %dl
	movw	$packet, %si
	pushw	%es
	pushl	%ebx
	int	$0x13
	popl	%ebx
	popw	%es
	ret

drive:	.byte	0
step:	.byte	0
	.balign	4
packet:
	.byte	16, 0
	.word	SECTORS
	.word	0
packet_seg:
	.word	BUFFER_SEG
packet_lba:
	.quad	FIRST_LBA

	.org	504
	.globl	wanted_sum
wanted_sum:
	.long	0
	.org	510
	.word	0xaa55
