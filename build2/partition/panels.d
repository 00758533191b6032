build2/partition/panels.o: partition/panels.c partition/panels.h \
 base/checked.h partition/blocks.h
partition/panels.h:
base/checked.h:
partition/blocks.h:
