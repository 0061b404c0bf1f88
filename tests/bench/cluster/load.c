/* A room load for several servers: opens ROOMS x MEMBERS connections, the members of a room on the servers in turn. The
 * first member of each room talks, and every delivery to every member is counted. One thread, epoll, no dependencies:
 *   cc -O2 -o load load.c
 *   ./load --ports 8080,8081 --rooms 20 --members 50 --seconds 4 --window 16
 * It speaks plain WebSocket (JSON messages of Omnisonic's rooms), or Socket.IO with --socketio, with the same payload.
 * Closed loop (default): the speaker keeps at most --window messages that the room's last member has not got yet.
 * Paced (--rate R): each speaker says R messages a second; latency counts from when a message was due.
 * Prints one line of JSON; latencies of those on the speaker's server are `here`, of the others `there`. Exit 1 if a
 * server refuses or closes a connection. Loopback only. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 1 << 18, LATENCIES = 4000000, SERVERS = 16 };
typedef struct { int fd, room, index, length, joined; unsigned char *buffer; uint64_t got, next; } Member;
typedef struct { uint64_t sent, seen; } Room;
typedef struct { uint32_t *us; size_t count; } Latencies;

static int ports[SERVERS], servers, rooms = 1, members = 100, size = 64, window = 16, is_socketio, counting;
static double seconds = 4, rate = 0;
static uint64_t delivered, sent;
static Latencies here, there;

static uint64_t now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1000000000ull + t.tv_nsec; }
static void die(const char *why) { fprintf(stderr, "load: %s\n", why); exit(1); }
static int by_value(const void *a, const void *b) { uint32_t x = *(uint32_t *)a, y = *(uint32_t *)b; return x < y ? -1 : x > y; }

static void send_text(Member *member, const char *text, int length) {
  static const unsigned char mask[4] = {1, 2, 3, 4};
  unsigned char frame[66100]; int o = 0;
  frame[o++] = 0x81;
  if (length < 126) frame[o++] = 0x80 | length; else { frame[o++] = 0x80 | 126; frame[o++] = length >> 8; frame[o++] = length & 255; }
  memcpy(frame + o, mask, 4); o += 4;
  for (int i = 0; i < length; i++) frame[o + i] = text[i] ^ mask[i & 3];
  if (write(member->fd, frame, o + length) != o + length) die("a speaker's socket is full: lower the window or the rate");
}

static void say(Member *member, uint64_t stamp) {
  static char pad[65536]; char body[66000];
  if (!pad[0]) memset(pad, 'x', sizeof pad - 1);
  const char *form = is_socketio ? "42[\"note\",{\"t\":%llu,\"pad\":\"%.*s\"}]" : "{\"type\":\"note\",\"payload\":{\"t\":%llu,\"pad\":\"%.*s\"}}";
  send_text(member, body, snprintf(body, sizeof body, form, (unsigned long long)stamp, size, pad));
  sent++;
}

static void connect_member(Member *member, int i) {
  member->room = i / members; member->index = i % members; member->buffer = malloc(BUFFER);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(ports[member->index % servers])};
  inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
  member->fd = socket(AF_INET, SOCK_STREAM, 0);
  int one = 1; setsockopt(member->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (connect(member->fd, (void *)&to, sizeof to)) die("cannot connect");
  char request[1024], head[16384];
  int n = snprintf(request, sizeof request,
                   "GET /%sroomId=room%d&memberId=m%d&displayName=M%d HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\n"
                   "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
                   is_socketio ? "socket.io/?EIO=4&transport=websocket&" : "?", member->room, member->index, member->index,
                   ports[member->index % servers]);
  if (write(member->fd, request, n) != n) die("cannot send the handshake");
  for (int got = 0;;) {
    int r = read(member->fd, head + got, sizeof head - got - 1);
    if (r <= 0) die("closed during the handshake");
    got += r; head[got] = 0;
    char *end = strstr(head, "\r\n\r\n");
    if (!end) continue;
    if (strncmp(head, "HTTP/1.1 101", 12)) die("handshake refused");
    member->length = got - (end + 4 - head); memcpy(member->buffer, end + 4, member->length);
    break;
  }
  fcntl(member->fd, F_SETFL, O_NONBLOCK);
  if (is_socketio) send_text(member, "40", 2);
}

static void note_latency(Latencies *of, uint64_t us) { if (of->count < LATENCIES) of->us[of->count++] = us > UINT32_MAX ? UINT32_MAX : us; }

static void handle(Member *member, Room *room, unsigned char *payload, uint64_t length, uint64_t at) {
  if (is_socketio && length == 1 && payload[0] == '2') send_text(member, "3", 1);
  if (length > 1 && (is_socketio ? !memcmp(payload, "40", 2) : memmem(payload, length, "\"welcome\"", 9) != NULL)) member->joined = 1;
  char *mark = memmem(payload, length > 200 ? 200 : length, "\"t\":", 4);
  if (!mark || !counting) return;
  delivered++; member->got++;
  if (member->index == members - 1) room->seen++;
  note_latency(member->index % servers ? &there : &here, (at - strtoull(mark + 4, 0, 10)) / 1000);
}

static void receive(Member *member, Room *room) {
  int r = read(member->fd, member->buffer + member->length, BUFFER - member->length), p = 0;
  if (r < 0 && errno == EAGAIN) return;
  if (r <= 0) die("a server closed a connection");
  member->length += r;
  uint64_t at = now();
  while (member->length - p >= 2) {
    unsigned char *b = member->buffer + p; int head = 2; uint64_t n = b[1] & 127;
    if (n == 126) { if (member->length - p < 4) break; n = b[2] << 8 | b[3]; head = 4; }
    else if (n == 127) { if (member->length - p < 10) break; n = 0; for (int i = 0; i < 8; i++) n = n << 8 | b[2 + i]; head = 10; }
    if ((uint64_t)(member->length - p) < head + n) break;
    if ((b[0] & 15) == 8) die("a server sent a close frame");
    if ((b[0] & 15) == 9) { unsigned char pong[] = {0x8a, 0x80, 1, 2, 3, 4}; if (write(member->fd, pong, 6) != 6) die("cannot answer a ping"); }
    handle(member, room, b + head, n, at);
    p += head + n;
  }
  memmove(member->buffer, member->buffer + p, member->length - p); member->length -= p;
}

static void print_latencies(const char *name, Latencies *of) {
  qsort(of->us, of->count, 4, by_value);
  printf("\"%s_p50_us\":%u,\"%s_p99_us\":%u,", name, of->count ? of->us[of->count / 2] : 0, name, of->count ? of->us[(size_t)(of->count * 0.99)] : 0);
}

int main(int argc, char **argv) {
  static struct option options[] = {{"ports", 1, 0, 'p'}, {"rooms", 1, 0, 'r'}, {"members", 1, 0, 'm'}, {"size", 1, 0, 'z'},
    {"seconds", 1, 0, 't'}, {"window", 1, 0, 'w'}, {"rate", 1, 0, 'R'}, {"socketio", 0, 0, 's'}, {0}};
  for (int o; (o = getopt_long(argc, argv, "", options, 0)) != -1;) switch (o) {
    case 'p': for (char *each = strtok(optarg, ","); each && servers < SERVERS; each = strtok(0, ",")) ports[servers++] = atoi(each); break;
    case 'r': rooms = atoi(optarg); break; case 'm': members = atoi(optarg); break; case 'z': size = atoi(optarg); break;
    case 't': seconds = atof(optarg); break; case 'w': window = atoi(optarg); break; case 'R': rate = atof(optarg); break;
    case 's': is_socketio = 1; break; default: return 2; }
  if (!servers) die("needs --ports");
  int n = rooms * members, poll = epoll_create1(0);
  Member *all = calloc(n, sizeof *all); Room *of = calloc(rooms, sizeof *of);
  here.us = malloc(4ull * LATENCIES); there.us = malloc(4ull * LATENCIES);
  for (int i = 0; i < n; i++) {
    connect_member(&all[i], i);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &all[i]};
    epoll_ctl(poll, EPOLL_CTL_ADD, all[i].fd, &event);
  }
  struct epoll_event events[512];
  uint64_t begun = now();
  for (int joined = 0; joined < n;) { /* everybody is in, and nothing more comes of that for half a second */
    int k = epoll_wait(poll, events, 512, 500);
    for (int i = 0; i < k; i++) { Member *member = events[i].data.ptr; receive(member, &of[member->room]); }
    joined = 0; for (int i = 0; i < n; i++) joined += all[i].joined;
    if (now() - begun > 30000000000ull) die("not everybody was let in within 30 s");
  }
  uint64_t start = now() + 1000000000ull, end = start + (uint64_t)(seconds * 1e9), gap = rate ? (uint64_t)(1e9 / rate) : 0;
  for (int r = 0; r < rooms; r++) all[r * members].next = start + (gap ? (uint64_t)r * gap / rooms : 0);
  for (uint64_t t; (t = now()) < end;) {
    counting = t >= start;
    for (int r = 0; counting && r < rooms; r++) {
      Member *speaker = &all[r * members];
      if (!rate) for (; of[r].sent - of[r].seen < (uint64_t)window; of[r].sent++) say(speaker, now());
      else for (; t >= speaker->next; speaker->next += gap) say(speaker, speaker->next);
    }
    uint64_t wait = 1000000; /* until somebody has to speak, a millisecond at most */
    for (int r = 0; gap && counting && r < rooms; r++) {
      uint64_t due = all[r * members].next;
      if (due <= t) wait = 0; else if (due - t < wait) wait = due - t;
    }
    struct timespec timeout = {.tv_nsec = wait};
    int k = epoll_pwait2(poll, events, 512, &timeout, NULL);
    for (int i = 0; i < k; i++) { Member *member = events[i].data.ptr; receive(member, &of[member->room]); }
  }
  double took = (now() - start) / 1e9; uint64_t least = ~0ull;
  for (int i = 0; i < n; i++) if (all[i].index && all[i].got < least) least = all[i].got;
  printf("{\"deliveries_per_s\":%.0f,\"sent_per_s\":%.0f,", delivered / took, sent / took);
  print_latencies("here", &here); print_latencies("there", &there);
  printf("\"least\":%llu}\n", (unsigned long long)least);
}
