/* Running programs: which levels of instructions there are, and threads that share tasks. */

#if !defined(_WIN32)
#define _POSIX_C_SOURCE 200809L
#include <sched.h>
#else
#include <windows.h>
#endif

#include <stdlib.h>
#include <string.h>

#include "native.h"
#include "programs.h"

LICODEC_EXPORT int64_t licodec_level(int64_t i, char *name, int64_t *layout);
LICODEC_EXPORT int64_t licodec_run(int64_t level, const struct task *tasks, int64_t count,
                                   const struct stage *stages, char *const *memory,
                                   const int64_t *numbers, atomic_int_least64_t *progress);

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
static size_t scratch_size(const struct task *task)
{
    size_t tile = (size_t)task->positions * (size_t)task->channels * sizeof(int32_t) + sizeof(double);
    if (task->source == WIDE_CONVOLUTION) return 4 * tile;
    if (task->source == NORMALIZE || task->source == DIVIDE)
        return tile + 4 * (size_t)task->channels * sizeof(double);
    if (task->source == ATTENTION) {
        size_t count = (size_t)(task->transform.window * task->transform.window);
        size_t depth = (size_t)(task->input.channels / 3 / task->transform.heads);
        return (3 * count * depth + count + 2 * depth) * sizeof(double);
    }
    return tile;
}

/* Wait for others to finish `blocks`: a while at work, since that is shorter than to be woken. */
static void wait_for(const atomic_int_least64_t *done, int64_t blocks)
{
    for (int tries = 0; atomic_load_explicit(done, memory_order_acquire) < blocks; tries++) {
        if (tries < 1000) continue;
#if defined(_WIN32)
        SwitchToThread();
#else
        sched_yield();
#endif
    }
}

/* Run tasks together with whichever other threads do the same with the same `progress`: one
 * number for the next block, and for each task how many of its blocks are done, all 0 at first.
 *
 * Threads take blocks in order and wait for blocks, not for one another, so one that comes late,
 * or never, holds nobody up. 0, or -1 where there is no memory; then others do the work. */
int64_t licodec_run(int64_t level, const struct task *tasks, int64_t count,
                    const struct stage *stages, char *const *memory, const int64_t *numbers,
                    atomic_int_least64_t *progress)
{
    struct job job = {tasks, stages, memory, numbers};
    size_t most = 0;
    for (int64_t i = 0; i < count; i++) {
        size_t own = scratch_size(&tasks[i]);
        if (own > most) most = own;
    }
    char *scratch = malloc(most + 64);
    if (!scratch) return -1;
    int64_t first = 0; /* block of the task */
    for (int64_t i = 0; i < count;) {
        int64_t block = atomic_fetch_add_explicit(&progress[0], 1, memory_order_relaxed);
        while (i < count && block >= first + tasks[i].blocks) first += tasks[i++].blocks;
        if (i == count) break;
        if (i) wait_for(&progress[i], tasks[i - 1].blocks);
        levels[level]->run_block(&job, &tasks[i], block - first, scratch);
        atomic_fetch_add_explicit(&progress[1 + i], 1, memory_order_release);
    }
    free(scratch);
    return 0;
}
