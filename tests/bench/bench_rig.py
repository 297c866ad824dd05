# SPDX-License-Identifier: BSD-3-Clause
"""A daemon to be measured: its control socket, the load on it, and what it uses of CPUs."""
import json
import pathlib
import socket
import statistics
import subprocess
import sys
import time


def median(values):
    return round(statistics.median(values), 3)


class Daemon:
    """nvringd with null disks, its control socket, and what it has used of CPUs."""

    def __init__(self, opts, tmp, *options, disks=1, uri='null:1G'):
        self.opts, self.tmp = opts, tmp
        self.sockets = [tmp / f'd{i}.sock' for i in range(disks)]
        words = []
        for i, sock in enumerate(self.sockets):
            words += ['--disk', f'd{i}={uri}', '--vhost-user-blk', f'd{i}={sock}']
        self.process = subprocess.Popen([opts.build / 'tools/nvringd/nvringd', '--rpc', tmp / 'rpc', '--log-level', 'error',
                                         *words, *options])

    def __enter__(self):
        begin = time.monotonic()
        while not (self.tmp / 'rpc').is_socket():
            if self.process.poll() is not None or time.monotonic() - begin > 10:
                sys.exit('nvringd does not listen')
            time.sleep(0.01)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)

    def nvring(self, *words):
        return subprocess.run([self.opts.build / 'tools/nvring/nvring', '-s', self.tmp / 'rpc', '--json', *words],
                              stdout=subprocess.PIPE, check=True, text=True).stdout

    def connect(self):
        """A connection that stays, for questions whose time matters."""
        self.control = socket.socket(socket.AF_UNIX)
        self.control.connect(str(self.tmp / 'rpc'))

    def call(self, method, **params):
        self.control.sendall(json.dumps({'jsonrpc': '2.0', 'id': 1, 'method': method, 'params': params}).encode())
        answer = b''
        while not answer.endswith(b'\n'):
            answer += self.control.recv(1 << 20)
        return json.loads(answer)['result']

    def bench(self, *words, bench_time=None):
        out = subprocess.run([self.opts.build / 'tools/nvring/nvring', 'bench', self.sockets[0], '--connect', '10s', '--json',
                              '--no-progress', '--warmup', '100ms', '--time', f'{bench_time or self.opts.time}ms', *words],
                             stdout=subprocess.PIPE, check=True, text=True).stdout
        return json.loads(out)

    def cpu_ns(self):
        """utime + stime by the scheduler's clock: of all threads, in nanoseconds."""
        tasks = pathlib.Path(f'/proc/{self.process.pid}/task').glob('*/schedstat')
        return sum(int(task.read_text().split()[0]) for task in tasks)

    def ticks(self):
        """The same as the kernel's utime and stime, in clock ticks."""
        words = pathlib.Path(f'/proc/{self.process.pid}/stat').read_text().rsplit(')', 1)[1].split()
        return int(words[11]) + int(words[12])

    def queue(self):
        """Of the first disk, as soon as a front-end uses it."""
        for _ in range(1000):
            sessions = json.loads(self.nvring('rpc', 'vhost_get_controllers'))[0]['sessions']
            if sessions and sessions[0]['queues'] and sessions[0]['queues'][0]['requests']:
                return sessions[0]['queues'][0]
            time.sleep(0.01)
        sys.exit('nobody uses the disk')
