build2/tests/unit/plan_head_test.o: tests/unit/plan_head_test.c \
 partition/cost.h partition/plan.h partition/memory.h partition/weights.h \
 partition/blocks.h partition/config.h base/error.h partition/gguf.h \
 base/hash.h tests/unit/plan_shapes.h partition/plan_json.h \
 partition/vision_plan.h partition/vision_memory.h \
 partition/vision_weights.h partition/vision_config.h tests/check.h
partition/cost.h:
partition/plan.h:
partition/memory.h:
partition/weights.h:
partition/blocks.h:
partition/config.h:
base/error.h:
partition/gguf.h:
base/hash.h:
tests/unit/plan_shapes.h:
partition/plan_json.h:
partition/vision_plan.h:
partition/vision_memory.h:
partition/vision_weights.h:
partition/vision_config.h:
tests/check.h:
