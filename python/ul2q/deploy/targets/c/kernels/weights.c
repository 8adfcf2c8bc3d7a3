/* Weights as codes from 0 up, one behind the other, the first in the lowest
   bits of a word. The integer of a code is gain * code + base. */
typedef struct {
  const uint32_t* words;
  uint32_t bits;
  int32_t gain, base;
} packed_weights;

static int32_t weight_at(const packed_weights* w, uint32_t index) {
  const uint32_t at = index * w->bits, from = at & 31;
  uint32_t code = w->words[at >> 5] >> from;
  if (from + w->bits > 32) {
    code |= w->words[(at >> 5) + 1] << (32 - from);
  }
  code &= ((uint32_t)1 << w->bits) - 1;
  return w->gain * (int32_t)code + w->base;
}
