"""Every request of an object's life, and every watch event, met with every fault: is the end the same?"""
