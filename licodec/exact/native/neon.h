/* Vectors of NEON, which every arm64 has. */

#ifndef LICODEC_NEON_H
#define LICODEC_NEON_H

#include <arm_neon.h>

#include "portable.h"

#define LANES 4
#define MOST_POSITIONS 12
#define MOST_VECTORS 2
typedef int32x4_t vi;
typedef float32x4_t vf;

static inline vi vi_load(const int32_t *p) { return vld1q_s32(p); }
static inline void vi_store(int32_t *p, vi v) { vst1q_s32(p, v); }
static inline vi vi_set(int32_t n) { return vdupq_n_s32(n); }
static inline vi vi_add(vi a, vi b) { return vaddq_s32(a, b); }
static inline vi vi_min(vi a, vi b) { return vminq_s32(a, b); }
static inline vi vi_max(vi a, vi b) { return vmaxq_s32(a, b); }
static inline vf vf_load(const float *p) { return vld1q_f32(p); }
static inline vf vf_set(float v) { return vdupq_n_f32(v); }
static inline vf vf_mul(vf a, vf b) { return vmulq_f32(a, b); }
static inline vf vf_of(vi n) { return vcvtq_f32_s32(n); }
static inline vf vf_bits(vi n) { return vreinterpretq_f32_s32(n); }
static inline vi vi_bits(vf v) { return vreinterpretq_s32_f32(v); }
static inline vf vf_choose(vi n, vf a, vf b) { return vbslq_f32(vcltzq_s32(n), a, b); }
static inline vi vi_load_s16(const int16_t *p) { return vmovl_s16(vld1_s16(p)); }
static inline void vi_store_s16(int16_t *p, vi v) { vst1_s16(p, vmovn_s32(v)); }

static inline vi vi_load_u8(const uint8_t *p)
{
    uint32_t bytes;
    memcpy(&bytes, p, sizeof bytes);
    uint16x8_t words = vmovl_u8(vreinterpret_u8_u32(vdup_n_u32(bytes)));
    return vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(words)));
}

static inline void vi_store_u8(uint8_t *p, vi v)
{
    int16x4_t words = vmovn_s32(v);
    int8x8_t bytes = vmovn_s16(vcombine_s16(words, words));
    uint32_t four = vget_lane_u32(vreinterpret_u32_s8(bytes), 0);
    memcpy(p, &four, sizeof four);
}

static inline vi vi_rounded(vf v, vf low, vf high)
{
    return vcvtnq_s32_f32(vminq_f32(vmaxq_f32(v, low), high));
}

#include "pieces.h"

#endif
