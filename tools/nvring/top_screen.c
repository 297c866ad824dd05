/* SPDX-License-Identifier: BSD-3-Clause */
/* ncurses, one screen. Signals are open only where something waits, so that none is missed. */
#include "tools/nvring/top_screen.h"

#include <errno.h>
#include <ncurses.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <term.h>
#include <time.h>
#include <unistd.h>

#include "core/base/cc.h"
#include "core/base/mono.h"
#include "tools/nvring/columns.h"

#define ESCAPE_MS    25 /* a lone Escape is told from an arrow key after so long */
#define KEY_REDRAW	('L' & 0x1f) /* as everywhere: something else has written on the terminal */
#define SIDE_COLUMNS 8	/* a step to the left or right */

static const int ending_signals[] = { SIGINT, SIGTERM, SIGHUP };

static volatile sig_atomic_t ended_by;

static struct {
	SCREEN *screen;
	char *pages[TOP_SCREEN_PAGES];
	unsigned page; /* which one is shown */
	int first, side; /* the line and the column in the corner */
	sigset_t before, ending, open; /* the mask we came with; those that end; the mask while waiting */
	struct sigaction old[ARRAY_SIZE(ending_signals)];
} top;

static void on_signal(int signo)
{
	ended_by = signo;
}

static void take_signals(void)
{
	struct sigaction sa = { .sa_handler = on_signal };
	sigset_t blocked;

	ended_by = 0;
	sigemptyset(&top.ending);
	for (unsigned i = 0; i < ARRAY_SIZE(ending_signals); i++) {
		sigaddset(&top.ending, ending_signals[i]);
		sigaction(ending_signals[i], &sa, &top.old[i]);
	}
	blocked = top.ending;
	sigaddset(&blocked, SIGWINCH); /* would interrupt a call of the daemon */
	sigprocmask(SIG_BLOCK, &blocked, &top.before);
	top.open = top.before;
	for (unsigned i = 0; i < ARRAY_SIZE(ending_signals); i++)
		sigdelset(&top.open, ending_signals[i]);
	sigdelset(&top.open, SIGWINCH);
}

static void give_signals_back(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(ending_signals); i++)
		sigaction(ending_signals[i], &top.old[i], NULL);
	sigprocmask(SIG_SETMASK, &top.before, NULL);
}

/* newterm() leaks when it fails: asked before. */
static bool is_terminal_known(void)
{
	int found;

	if (setupterm(NULL, STDOUT_FILENO, &found) != OK)
		return false;
	del_curterm(cur_term);
	return true;
}

int top_screen_open(unsigned page, struct errbuf *eb)
{
	const char *term = getenv("TERM");

	top.page = page;
	take_signals(); /* first: ncurses leaves alone those that have a handler */
	top.screen = is_terminal_known() ? newterm(NULL, stdout, stdin) : NULL;
	if (!top.screen) {
		give_signals_back();
		return errbuf_set(eb, -ENOTTY, "no terminal that is known (TERM=%s): set TERM, or use --once",
				  term ? term : "");
	}
	set_escdelay(ESCAPE_MS);
	cbreak();
	noecho();
	nodelay(stdscr, TRUE);
	keypad(stdscr, TRUE);
	curs_set(0);
	return 0;
}

void top_screen_close(void)
{
	int signo = ended_by;

	endwin();
	delscreen(top.screen);
	top_screen_set(NULL);
	top.screen = NULL;
	give_signals_back();
	if (signo)
		raise(signo);
}

void top_screen_set(const char *const pages[TOP_SCREEN_PAGES])
{
	for (unsigned i = 0; i < TOP_SCREEN_PAGES; i++) {
		free(top.pages[i]);
		top.pages[i] = pages && pages[i] ? strdup(pages[i]) : NULL;
	}
}

void top_screen_let_signals(bool on)
{
	sigprocmask(on ? SIG_UNBLOCK : SIG_BLOCK, &top.ending, NULL);
}

/*
 * Drawing
 */

static int count_lines(const char *text)
{
	int n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

/* Lines and columns that exist: not scrolled past the end. */
static void clamp(int nlines)
{
	int last = nlines - (LINES - 1);

	if (top.first > last)
		top.first = last;
	if (top.first < 0)
		top.first = 0;
	if (top.side < 0)
		top.side = 0;
}

/* By columns: a character that begins left of the screen is not shown, the half of it that would be on it is blank. */
static void draw_line(int row, const char *line, size_t len)
{
	size_t side = (size_t)top.side, skipped, wide, skip = columns_fit(line, len, side, &skipped);
	int at = 0;

	if (skip < len && skipped < side) {
		size_t bytes = columns_fit(line + skip, len - skip, 2, &wide);

		skip += bytes;
		at = (int)(skipped + wide - side);
	}
	len = columns_fit(line + skip, len - skip, (size_t)(COLS > at ? COLS - at : 0), &wide);
	mvaddnstr(row, at, line + skip, (int)len);
}

static void draw(void)
{
	const char *line = top.pages[top.page] ? top.pages[top.page] : "out of memory\n";
	int nlines = count_lines(line);

	clamp(nlines);
	erase();
	for (int i = 0; i < nlines; i++) {
		size_t len = strcspn(line, "\n");

		if (i >= top.first && i - top.first < LINES - 1)
			draw_line(i - top.first, line, len);
		line += len + 1;
	}
	attron(A_REVERSE);
	mvaddnstr(LINES - 1, 0, "q quit   l latencies   arrows, PgUp, PgDn scroll", COLS);
	attroff(A_REVERSE);
	refresh();
}

/*
 * Keys
 */

/* False: quit. */
static bool press(int key)
{
	int page = LINES > 2 ? LINES - 2 : 1;

	switch (key) {
	case 'q':
	case 'Q':
		return false;
	case 'l':
		top.page = (top.page + 1) % TOP_SCREEN_PAGES;
		break;
	case KEY_REDRAW:
		clearok(curscr, TRUE);
		break;
	case KEY_UP:
		top.first--;
		break;
	case KEY_DOWN:
		top.first++;
		break;
	case KEY_PPAGE:
		top.first -= page;
		break;
	case KEY_NPAGE:
		top.first += page;
		break;
	case KEY_LEFT:
		top.side -= SIDE_COLUMNS;
		break;
	case KEY_RIGHT:
		top.side += SIDE_COLUMNS;
		break;
	default: /* KEY_RESIZE: drawing anew is all */
		break;
	}
	return true;
}

static bool press_all(void)
{
	for (int key = getch(); key != ERR; key = getch()) {
		if (!press(key))
			return false;
	}
	return true;
}

bool top_screen_wait(uint64_t until_ns)
{
	for (;;) {
		struct pollfd pfd = { .fd = STDIN_FILENO, .events = POLLIN };
		uint64_t now = mono_ns();
		struct timespec ts = mono_timespec(until_ns > now ? until_ns - now : 0);
		int n;

		draw();
		n = ppoll(&pfd, 1, &ts, &top.open);
		if (ended_by || (n > 0 && !(pfd.revents & POLLIN)))
			return false;
		if (!press_all() || (n > 0 && (pfd.revents & POLLHUP)))
			return false;
		if (n == 0 && mono_ns() >= until_ns)
			return true;
	}
}
