/* Running programs: which levels of instructions there are, and threads that share tasks. */

#if !defined(_WIN32)
#define _POSIX_C_SOURCE 200809L
#include <sched.h>
#else
#include <windows.h>
#endif

#include <string.h>

#include "native.h"
#include "programs.h"

LICODEC_EXPORT int64_t licodec_level(int64_t i, char *name, int64_t *layout);
LICODEC_EXPORT int64_t licodec_scratch(const struct task *tasks, int64_t count);
LICODEC_EXPORT void licodec_run(int64_t level, const struct task *tasks, int64_t count,
                                const struct stage *stages, char *const *memory,
                                const int64_t *numbers, char *scratch, int64_t threads,
                                atomic_int_least64_t *progress);

enum { ALIGNMENT = 64 };

/* Levels, the best last ------------------------------------------------------------------------- */

static const struct level *const levels[] = {
    &level_c,
#if defined(__x86_64__) || defined(_M_X64)
    &level_sse2,
    &level_avx2,
    &level_avx512,
#elif defined(__aarch64__)
    &level_neon,
    &level_dotprod,
#endif
};
enum { LEVELS = sizeof levels / sizeof *levels };

#if defined(__x86_64__) || defined(_M_X64)
static int is_there(const struct level *level)
{
    __builtin_cpu_init();
    if (level == &level_avx2) return __builtin_cpu_supports("avx2");
    if (level == &level_avx512)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
            __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
            __builtin_cpu_supports("avx512vnni");
    return 1;
}
#elif defined(__aarch64__)
#if defined(__linux__)
#include <sys/auxv.h>
#endif
static int is_there(const struct level *level)
{
    if (level != &level_dotprod) return 1;
#if defined(__linux__)
    return (getauxval(AT_HWCAP) >> 20 & 1) != 0; /* HWCAP_ASIMDDP */
#elif defined(__APPLE__)
    return 1; /* every arm64 processor of theirs has it */
#else
    return 0;
#endif
}
#else
static int is_there(const struct level *level)
{
    return level == &level_c;
}
#endif

/* The name of level `i` in 16 bytes, and in `layout` its lanes, its steps for operands of bytes
 * and of 16 bits, its offset of bytes, and the sizes of a task and of a stage. 1 where this processor has the level,
 * 0 where it lacks it, -1 beyond the last level. */
int64_t licodec_level(int64_t i, char *name, int64_t *layout)
{
    if (i < 0 || i >= LEVELS) return -1;
    const struct level *level = levels[i];
    strncpy(name, level->name, 16);
    layout[0] = level->lanes, layout[1] = level->step_u8, layout[2] = level->step_s16;
    layout[3] = level->offset_u8;
    layout[4] = sizeof(struct task), layout[5] = sizeof(struct stage);
    return is_there(level);
}

/* Threads --------------------------------------------------------------------------------------- */

/* Bytes of memory that run_block needs beside planes. */
static int64_t scratch_of(const struct task *task)
{
    int64_t tile = task->positions * task->channels * (int64_t)sizeof(int32_t) + ALIGNMENT;
    int64_t size = sizeof(double);
    if (task->source == WIDE_CONVOLUTION) return 4 * tile;
    if (task->source == NORMALIZE || task->source == DIVIDE)
        return tile + 4 * (2 * task->channels + 16) * size; /* transforms.h */
    if (task->source == ATTENTION) {
        int64_t count = task->transform.window * task->transform.window;
        int64_t depth = task->input.channels / 3 / task->transform.heads;
        return (3 * count * depth + count + 2 * depth) * size;
    }
    return tile;
}

/* The bytes that a thread needs for any of the tasks, in whole lines of a cache. */
int64_t licodec_scratch(const struct task *tasks, int64_t count)
{
    int64_t most = 0;
    for (int64_t i = 0; i < count; i++) {
        int64_t own = scratch_of(&tasks[i]);
        if (own > most) most = own;
    }
    return (most / ALIGNMENT + 1) * ALIGNMENT;
}

typedef atomic_int_least64_t state;
enum { FREE, TAKEN, DONE }; /* a block */

static int take(state *block)
{
    int_least64_t expected = FREE;
    return atomic_compare_exchange_strong_explicit(block, &expected, TAKEN, memory_order_relaxed,
                                                   memory_order_relaxed);
}

/* Wait until the blocks [first, last] are done: a while at work, since that is shorter than to be
 * woken. */
static void wait_for(state *blocks, int64_t first, int64_t last)
{
    for (int64_t i = first; i <= last; i++)
        for (int tries = 0; atomic_load_explicit(&blocks[i], memory_order_acquire) != DONE; tries++) {
            if (tries < 1000) continue;
#if defined(_WIN32)
            SwitchToThread();
#else
            sched_yield();
#endif
        }
}

/* The block that thread `own` tries as its `number`th: first those of its share, then those of the
 * others. Neighbours go towards one another, so that neither waits at once for the other's last. */
static int64_t in_turn(int64_t number, int64_t own, int64_t threads, int64_t blocks)
{
    int64_t block = own % 2 ? (own + 1) * blocks / threads - 1 - number : own * blocks / threads + number;
    return (block + blocks) % blocks;
}

/* Run tasks together with whichever other threads do the same with the same `progress`: how many
 * have come, and the state of each block of each task, all 0 at first. Returns when all is done.
 * `scratch` has licodec_scratch's bytes for each of at most `threads` threads.
 *
 * A thread begins a task when all of the last but one is done, and a block when the blocks of the
 * last that it reads are. So each goes on in its part of the planes, which are in its cache, and
 * seldom waits. One that comes late, or never, holds nobody up: others take its blocks. */
void licodec_run(int64_t level, const struct task *tasks, int64_t count,
                 const struct stage *stages, char *const *memory, const int64_t *numbers,
                 char *scratch, int64_t threads, state *progress)
{
    struct job job = {tasks, stages, memory, numbers};
    int64_t own = atomic_fetch_add_explicit(&progress[0], 1, memory_order_relaxed);
    if (own >= threads) return;
    scratch += own * licodec_scratch(tasks, count);
    state *blocks = progress + 1, *last = NULL;
    for (int64_t i = 0; i < count; i++) {
        const struct task *task = &tasks[i];
        int64_t most = i ? tasks[i - 1].blocks - 1 : -1;
        for (int64_t n = 0; n < task->blocks; n++) {
            int64_t block = in_turn(n, own, threads, task->blocks);
            if (!take(&blocks[block])) continue;
            int64_t from = block - task->reach, to = block + task->reach;
            wait_for(last, from < 0 ? 0 : from, to < most ? to : most);
            levels[level]->run_block(&job, task, block, scratch);
            atomic_store_explicit(&blocks[block], DONE, memory_order_release);
        }
        wait_for(last, 0, most);
        last = blocks, blocks += task->blocks;
    }
    wait_for(last, 0, count ? tasks[count - 1].blocks - 1 : -1);
}
