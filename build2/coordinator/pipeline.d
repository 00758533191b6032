build2/coordinator/pipeline.o: coordinator/pipeline.c \
 coordinator/pipeline.h coordinator/children.h base/error.h \
 transport/transport.h transport/frame.h worker/worker.h transport/wire.h \
 base/diary.h base/hash.h coordinator/options.h coordinator/tokenizer.h \
 coordinator/utf8.h partition/gguf.h partition/cluster.h partition/plan.h \
 partition/memory.h partition/weights.h partition/blocks.h \
 partition/config.h partition/vision_plan.h partition/vision_memory.h \
 partition/vision_weights.h partition/vision_config.h coordinator/trace.h \
 coordinator/request.h coordinator/prompt.h coordinator/scheduler.h \
 base/clock.h base/log.h base/threads.h
coordinator/pipeline.h:
coordinator/children.h:
base/error.h:
transport/transport.h:
transport/frame.h:
worker/worker.h:
transport/wire.h:
base/diary.h:
base/hash.h:
coordinator/options.h:
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
coordinator/trace.h:
coordinator/request.h:
coordinator/prompt.h:
coordinator/scheduler.h:
base/clock.h:
base/log.h:
base/threads.h:
