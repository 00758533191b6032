build2/coordinator/main.o: coordinator/main.c base/error.h base/log.h \
 base/threads.h base/version.h coordinator/commands.h \
 coordinator/options.h transport/wire.h base/diary.h base/hash.h \
 transport/frame.h transport/transport.h coordinator/pipeline.h \
 coordinator/children.h worker/worker.h coordinator/tokenizer.h \
 coordinator/utf8.h partition/gguf.h partition/cluster.h partition/plan.h \
 partition/memory.h partition/weights.h partition/blocks.h \
 partition/config.h partition/vision_plan.h partition/vision_memory.h \
 partition/vision_weights.h partition/vision_config.h
base/error.h:
base/log.h:
base/threads.h:
base/version.h:
coordinator/commands.h:
coordinator/options.h:
transport/wire.h:
base/diary.h:
base/hash.h:
transport/frame.h:
transport/transport.h:
coordinator/pipeline.h:
coordinator/children.h:
worker/worker.h:
coordinator/tokenizer.h:
coordinator/utf8.h:
partition/gguf.h:
partition/cluster.h:
partition/plan.h:
partition/memory.h:
partition/weights.h:
partition/blocks.h:
partition/config.h:
partition/vision_plan.h:
partition/vision_memory.h:
partition/vision_weights.h:
partition/vision_config.h:
