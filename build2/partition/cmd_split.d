build2/partition/cmd_split.o: partition/cmd_split.c partition/cmd_split.h \
 partition/words.h base/error.h base/log.h partition/json.h \
 partition/mapped.h partition/plan_json.h partition/vision_plan.h \
 partition/plan.h partition/memory.h partition/weights.h \
 partition/blocks.h partition/config.h partition/gguf.h base/hash.h \
 partition/vision_memory.h partition/vision_weights.h \
 partition/vision_config.h partition/slice.h
partition/cmd_split.h:
partition/words.h:
base/error.h:
base/log.h:
partition/json.h:
partition/mapped.h:
partition/plan_json.h:
partition/vision_plan.h:
partition/plan.h:
partition/memory.h:
partition/weights.h:
partition/blocks.h:
partition/config.h:
partition/gguf.h:
base/hash.h:
partition/vision_memory.h:
partition/vision_weights.h:
partition/vision_config.h:
partition/slice.h:
