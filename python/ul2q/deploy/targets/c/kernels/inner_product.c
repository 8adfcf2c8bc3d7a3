/* All inputs times all weights, which are decoded as they are read. */
typedef struct {
  packed_weights weights;
  int32_t inputs, outputs;
  int has_input_sum; /* for weights whose levels lie about another number */
  ending ending;
} inner_product;
